"""The jobs of the workers. Wake-ups name these functions; most make one engine call."""

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
from remediation.engine import cancel, database_errors, outage, problems
from remediation.engine.launching import (
    action_refresh,
    future_due_times,
    launch,
    launch_timeout,
    lookup,
    recover,
)
from remediation.engine.outcomes import poll, poll_interval, poll_schedule, reruns
from remediation.engine.stackstorm_client import STACKSTORM, NotConfigured, stackstorm_client
from remediation.engine.totals import advance
from remediation.models import (
    EarlyResolve,
    Heartbeat,
    IdempotencyKey,
    JobSchedule,
    Problem,
    idempotency_key,
)
from remediation.stackstorm import StackStormClient

logger = logging.getLogger(__name__)

TICK_GRACE = datetime.timedelta(seconds=5)
KEPT = datetime.timedelta(days=1)
PLANNED_AHEAD = datetime.timedelta(seconds=30)  # delivered wake-ups are locked for longer
PRUNE_INTERVAL = datetime.timedelta(minutes=10)
CLOCK_CHECK_SECONDS = 30.0
PRUNED_MAX = 2_000  # rows of each kind deleted by one call


_clock_check: clock.Timer | None = None


class ClockSkew(Exception):
    """The clock of a machine is wrong by the skew in the text."""


Wrapped = ParamSpec("Wrapped")


def reported(job: Callable[Wrapped, bool]) -> Callable[Wrapped, None]:
    """Log a job's exceptions, record them as a problem and re-raise them.

    A complete run ends the problem; ``job`` returns whether the run was complete. While the
    database cannot be reached the exception is only logged: django-q2 could not record it either.
    """

    @wraps(job)
    def run(*args: Wrapped.args, **kwargs: Wrapped.kwargs) -> None:
        try:
            if job(*args, **kwargs):
                problems.end(job.__name__)
        except Exception as error:
            logger.exception("The job %s failed.", job.__name__)
            if database_errors.is_unreachable(error):
                return
            problems.report(job.__name__, error)
            raise

    return run


@reported
def launch_due(**_newer: object) -> bool:
    """Launch a bounded batch of due StackStorm executions."""
    _record_heartbeat()
    queue.discard_pending(queue.LAUNCH_DUE)
    if (client := _stackstorm()) and not outage.blocks_calls(at=clock.now()):
        launch.launch_due(client=client)
    return True


@reported
def run_local(**_newer: object) -> bool:
    """Run one due local action; enqueue a job if another one is due."""
    _record_heartbeat()
    if not queue.is_stopping() and launch.run_local() and launch.is_local_due():
        queue.enqueue(queue.RUN_LOCAL)
    return True


@reported
def beat(**_newer: object) -> bool:
    """Record a heartbeat of this cluster; restart the chain of ticks if it broke."""
    _record_heartbeat()
    interval = datetime.timedelta(seconds=settings.POLL_INTERVAL)
    if JobSchedule.is_late("tick", at=clock.now(), interval=interval, grace=TICK_GRACE):
        queue.enqueue(queue.TICK)
    return True


@reported
def tick(**_newer: object) -> bool:
    """Follow executions in flight. The next tick is enqueued first, so the chain never breaks.

    The periodic work runs once per POLL_INTERVAL. Ticks in between were requested, or an execution
    became due for a poll. Each part is a bounded batch and runs even if another part raises.
    """
    _record_heartbeat()
    interval = datetime.timedelta(seconds=settings.POLL_INTERVAL)
    at = clock.now()
    with transaction.atomic():
        queue.discard_pending(queue.TICK, until=at + PLANNED_AHEAD)
        is_periodic = JobSchedule.start_if_due("tick", at=at, interval=interval)
        queue.enqueue(queue.TICK, at=at + interval)
    parts: list[Callable[[], object]] = [
        partial(_poll_stackstorm, at + interval),
        cancel.apply_stops,
    ]
    if not is_periodic:
        _run_all(parts)
        return False
    problems.begin("tick")
    periodic = [recover.recover, launch_timeout.expire, cancel.cancel_overdue, _prune]
    periodic += [_check_clocks, _refresh_actions, problems.end_unreported, advance.advance]
    try:
        _run_all([_wake_launchers, *parts, *periodic])
    finally:
        problems.finish("tick")
    return True


def _run_all(parts: Iterable[Callable[[], object]]) -> None:
    """Run all parts, until the cluster stops; raise the first exception at the end."""
    failures: list[Exception] = []
    for part in parts:
        if queue.is_stopping():
            break
        try:
            part()
        except Exception as error:
            if failures:
                logger.exception("Another part of the tick failed.")
            failures.append(error)
    if failures:
        raise failures[0]


def _poll_stackstorm(planned: datetime.datetime) -> None:
    """Poll due executions in StackStorm, unless calls are paused by an outage."""
    client = _stackstorm()
    if client is None or outage.blocks_calls(at=clock.now()):
        return
    polled = poll.poll_due(client=client) + lookup.look_up_due(client=client)
    polled += reruns.check_due(client=client)
    if not polled:
        # No other call would notice the end of the outage.
        outage.probe(client=client)
    _schedule_earlier_tick(planned)


def _wake_launchers() -> None:
    """Enqueue launches for executions that have become due."""
    if launch.is_local_due():
        queue.enqueue(queue.RUN_LOCAL)
    if not outage.blocks_calls(at=clock.now()) and launch.is_stackstorm_due():
        queue.enqueue(queue.LAUNCH_DUE)


def _refresh_actions() -> None:
    """Refresh outdated action metadata from StackStorm."""
    client = _stackstorm()
    if client and not Problem.is_current(STACKSTORM):
        action_refresh.refresh_due(client=client)


def _prune() -> None:
    if JobSchedule.start_if_due("prune", at=clock.now(), interval=PRUNE_INTERVAL):
        prune()


def prune() -> None:
    """Delete old failed jobs, dead workers, early resolves and idempotency keys.

    Never the history of alerts.
    """
    before = clock.now() - KEPT
    queue.prune(before=before, most=PRUNED_MAX)
    Heartbeat.prune(before=before, most=PRUNED_MAX)
    EarlyResolve.prune(before=before, most=PRUNED_MAX)
    IdempotencyKey.prune(before=clock.now() - idempotency_key.KEPT, most=PRUNED_MAX)


def _schedule_earlier_tick(planned: datetime.datetime) -> None:
    """Enqueue an earlier tick if a poll is due before the planned one.

    While the stream reports ends, the remaining polls can wait for the planned tick.
    """
    due = None if poll_interval.is_streamed() else poll_schedule.next_due()
    if due and due < planned:
        queue.enqueue(queue.TICK, at=max(due, clock.now() + poll_interval.shortest_interval()))


def _stackstorm() -> StackStormClient | None:
    """Return the client, or None; then report the problem if executions wait for it."""
    try:
        return stackstorm_client()
    except NotConfigured as error:
        if launch.is_stackstorm_due():
            Problem.report(STACKSTORM, str(error), at=clock.now())
        return None


def _check_clocks() -> None:
    """Now and then, correct due times of wrong clocks and report this machine's clock."""
    global _clock_check
    if _clock_check is None or _clock_check.is_over():
        _clock_check = clock.Timer(CLOCK_CHECK_SECONDS)
        future_due_times.correct()
        _report_skew()


def _report_skew() -> None:
    """Report a wrong clock of this machine as a problem, or end the problem."""
    job = f"clock@{socket.gethostname()[:30]}"
    if warning := clock.skew_warning():
        problems.report(job, ClockSkew(warning))
    else:
        problems.end(job)


def _record_heartbeat() -> None:
    if own := queue.this_cluster():
        Heartbeat.record(own, at=clock.now(), skew_seconds=clock.skew_seconds())
