"""What the workers do: the functions that wake-ups name, one engine call each."""

from __future__ import annotations

import datetime

from django.conf import settings
from django.db import transaction

from remediation import clock, queue
from remediation.engine import cancel, launch, lookup, pace, poll, recover
from remediation.engine.connection import STACKSTORM, NotConfigured, stackstorm_client
from remediation.models import EarlyResolve, Heartbeat
from remediation.stackstorm import StackStormClient

TICK_GRACE = datetime.timedelta(seconds=5)
KEPT = datetime.timedelta(days=1)
PLANNED_AHEAD = datetime.timedelta(seconds=30)  # at the most; what is delivered is locked longer
PRUNE_INTERVAL = datetime.timedelta(hours=1)


def launch_due(**_newer: object) -> None:
    """Start what is due in StackStorm, a bounded batch."""
    _show_life()
    queue.absorb(queue.LAUNCH_DUE)
    if client := _stackstorm():
        launch.launch_due(client=client)


def run_local(**_newer: object) -> None:
    """Carry out one due local action, and have the next one carried out by whoever is free."""
    _show_life()
    if launch.run_local() and launch.is_local_due():
        queue.enqueue(queue.RUN_LOCAL)


def beat(**_newer: object) -> None:
    """Prove to the worker command that this cluster works; revive the chain of ticks."""
    _show_life()
    if Heartbeat.is_late("tick", at=clock.now() - TICK_GRACE):
        queue.enqueue(queue.TICK)


def tick(**_newer: object) -> None:
    """Follow what is in flight; the next tick is planned first, so that the chain never ends.

    What time alone makes due is looked for once in POLL_INTERVAL. A tick that somebody asked for,
    or that an execution's age made due, comes in between.
    """
    _show_life()
    interval = datetime.timedelta(seconds=settings.POLL_INTERVAL)
    at = clock.now()
    with transaction.atomic():
        queue.absorb(queue.TICK, until=at + PLANNED_AHEAD)
        is_beat = Heartbeat.beat("tick", at=at, interval=interval)
        queue.enqueue(queue.TICK, at=at + interval)
    cancel.carry_out_due()
    if is_beat:
        _do_what_time_makes_due(at)
    if client := _stackstorm():
        poll.poll_due(client=client)
        lookup.look_up_due(client=client)
        _plan_sooner(at + interval)


def _do_what_time_makes_due(at: datetime.datetime) -> None:
    recover.recover()
    launch.expire()
    cancel.cancel_overdue()
    if launch.is_local_due():
        queue.enqueue(queue.RUN_LOCAL)
    if launch.is_stackstorm_due():
        queue.enqueue(queue.LAUNCH_DUE)
    if Heartbeat.beat("prune", at=at, interval=PRUNE_INTERVAL):
        prune()


def prune() -> None:
    """Delete failed jobs, dead workers and old early resolves; the history of alerts stays."""
    before = clock.now() - KEPT
    queue.prune(before=before)
    Heartbeat.prune(before=before)
    EarlyResolve.prune(before=before)


def _plan_sooner(planned: datetime.datetime) -> None:
    """Have the next tick come before it was planned, if something is to be asked for by then.

    While the stream tells of what ends, the polls that are left can wait until then.
    """
    due = None if pace.is_streamed() else poll.next_due()
    if due and due < planned:
        queue.enqueue(queue.TICK, at=max(due, clock.now() + pace.shortest()))


def _stackstorm() -> StackStormClient | None:
    """Return the client; without one, have people read why what is due waits."""
    try:
        return stackstorm_client()
    except NotConfigured as error:
        if launch.is_stackstorm_due():
            Heartbeat.tell(STACKSTORM, str(error), at=clock.now())
        return None


def _show_life() -> None:
    if own := queue.this_cluster():
        Heartbeat.show_life(own, at=clock.now())
