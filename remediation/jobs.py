"""What the workers do: the functions that wake-ups name, one engine call each."""

from __future__ import annotations

import datetime
import logging
import socket
from collections.abc import Callable, Iterable
from functools import partial, wraps
from typing import ParamSpec

from django.conf import settings
from django.db import transaction

from remediation import clock, queue
from remediation.engine import cancel, outage, problems
from remediation.engine.connection import STACKSTORM, NotConfigured, stackstorm_client
from remediation.engine.launching import (
    action_refresh,
    future_due_times,
    launch,
    launch_timeout,
    lookup,
    recover,
)
from remediation.engine.outcomes import poll, poll_interval, poll_schedule, reruns
from remediation.models import EarlyResolve, Heartbeat, JobSchedule, Problem
from remediation.stackstorm import StackStormClient

logger = logging.getLogger(__name__)

TICK_GRACE = datetime.timedelta(seconds=5)
KEPT = datetime.timedelta(days=1)
PLANNED_AHEAD = datetime.timedelta(seconds=30)  # at the most; what is delivered is locked longer
PRUNE_INTERVAL = datetime.timedelta(minutes=10)
CLOCK_LOOK_SECONDS = 30.0
PRUNED_MAX = 2_000  # rows of each kind that are deleted at once


_clocks_looked_at: clock.Timer | None = None


class ClockSkew(Exception):
    """The clock of a machine is wrong; the text says which and by how much."""


Wrapped = ParamSpec("Wrapped")


def reported(job: Callable[Wrapped, bool]) -> Callable[Wrapped, None]:
    """Record a job's exceptions as a problem and raise them again; a success ends the problem.

    ``job``: returns whether it did all that it is there for, so that its success says so.
    """

    @wraps(job)
    def run(*args: Wrapped.args, **kwargs: Wrapped.kwargs) -> None:
        try:
            is_complete = job(*args, **kwargs)
        except Exception as error:
            problems.report(job.__name__, error)
            raise
        if is_complete:
            problems.end(job.__name__)

    return run


@reported
def launch_due(**_newer: object) -> bool:
    """Start what is due in StackStorm, a bounded batch."""
    _show_life()
    queue.absorb(queue.LAUNCH_DUE)
    if (client := _stackstorm()) and not outage.blocks_calls(at=clock.now()):
        launch.launch_due(client=client)
    return True


@reported
def run_local(**_newer: object) -> bool:
    """Carry out one due local action, and have the next one carried out by whoever is free."""
    _show_life()
    if launch.run_local() and launch.is_local_due():
        queue.enqueue(queue.RUN_LOCAL)
    return True


@reported
def beat(**_newer: object) -> bool:
    """Prove to the worker command that this cluster works; revive the chain of ticks."""
    _show_life()
    interval = datetime.timedelta(seconds=settings.POLL_INTERVAL)
    if JobSchedule.is_late("tick", at=clock.now(), interval=interval, grace=TICK_GRACE):
        queue.enqueue(queue.TICK)
    return True


@reported
def tick(**_newer: object) -> bool:
    """Follow what is in flight; the next tick is planned first, so that the chain never ends.

    What time alone makes due is looked for once in POLL_INTERVAL. A tick that somebody asked for,
    or that an execution's age made due, comes in between. Each part is a bounded batch, and one
    that raises does not keep the others from their turn.
    """
    _show_life()
    interval = datetime.timedelta(seconds=settings.POLL_INTERVAL)
    at = clock.now()
    with transaction.atomic():
        queue.absorb(queue.TICK, until=at + PLANNED_AHEAD)
        is_beat = JobSchedule.start_if_due("tick", at=at, interval=interval)
        queue.enqueue(queue.TICK, at=at + interval)
    follow: list[Callable[[], object]] = [partial(_follow, at + interval), cancel.apply_stops]
    if not is_beat:
        _each_in_turn(follow)
        return False
    problems.begin("tick")
    what_is_due = [recover.recover, launch_timeout.expire, cancel.cancel_overdue, _prune]
    what_is_due += [_look_at_clocks, _refresh_actions, problems.end_unreported]
    try:
        _each_in_turn([_wake_launchers, *follow, *what_is_due])
    finally:
        problems.finish("tick")
    return True


def _each_in_turn(parts: Iterable[Callable[[], object]]) -> None:
    """Carry out all parts. Raises what the first of those that failed has raised."""
    failures: list[Exception] = []
    for part in parts:
        try:
            part()
        except Exception as error:
            if failures:
                logger.exception("Another part of the tick failed.")
            failures.append(error)
    if failures:
        raise failures[0]


def _follow(planned: datetime.datetime) -> None:
    """Ask StackStorm how the executions are, unless it asked not to be called."""
    client = _stackstorm()
    if client is None or outage.blocks_calls(at=clock.now()):
        return
    asked = poll.poll_due(client=client) + lookup.look_up_due(client=client)
    asked += reruns.check_due(client=client)
    if not asked:
        # Nothing else would find out that the problem is over.
        outage.probe(client=client)
    _plan_sooner(planned)


def _wake_launchers() -> None:
    """Wake those who start what time has made due."""
    if launch.is_local_due():
        queue.enqueue(queue.RUN_LOCAL)
    if not outage.blocks_calls(at=clock.now()) and launch.is_stackstorm_due():
        queue.enqueue(queue.LAUNCH_DUE)


def _refresh_actions() -> None:
    """Ask StackStorm for what is known of actions and too old."""
    client = _stackstorm()
    if client and not Problem.is_current(STACKSTORM):
        action_refresh.refresh_due(client=client)


def _prune() -> None:
    if JobSchedule.start_if_due("prune", at=clock.now(), interval=PRUNE_INTERVAL):
        prune()


def prune() -> None:
    """Delete failed jobs, dead workers and old early resolves; the history of alerts stays."""
    before = clock.now() - KEPT
    queue.prune(before=before, most=PRUNED_MAX)
    Heartbeat.prune(before=before, most=PRUNED_MAX)
    EarlyResolve.prune(before=before, most=PRUNED_MAX)


def _plan_sooner(planned: datetime.datetime) -> None:
    """Have the next tick come before it was planned, if something is to be asked for by then.

    While the stream tells of what ends, the polls that are left can wait until then.
    """
    due = None if poll_interval.is_streamed() else poll_schedule.next_due()
    if due and due < planned:
        queue.enqueue(queue.TICK, at=max(due, clock.now() + poll_interval.shortest_interval()))


def _stackstorm() -> StackStormClient | None:
    """Return the client; without one, have people read why what is due waits."""
    try:
        return stackstorm_client()
    except NotConfigured as error:
        if launch.is_stackstorm_due():
            Problem.report(STACKSTORM, str(error), at=clock.now())
        return None


def _look_at_clocks() -> None:
    """Make good for clocks that were wrong, and report this machine's, now and then."""
    global _clocks_looked_at
    if _clocks_looked_at is None or _clocks_looked_at.is_over():
        _clocks_looked_at = clock.Timer(CLOCK_LOOK_SECONDS)
        future_due_times.correct()
        _report_skew()


def _report_skew() -> None:
    """Record a wrong clock of this machine as a problem, or that it is right again."""
    job = f"clock@{socket.gethostname()[:30]}"
    if warning := clock.skew_warning():
        problems.report(job, ClockSkew(warning))
    else:
        problems.end(job)


def _show_life() -> None:
    if own := queue.this_cluster():
        Heartbeat.record(own, at=clock.now(), skew_seconds=clock.skew_seconds())
