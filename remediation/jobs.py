"""What the workers do: the functions that wake-ups name, one engine call each."""

from __future__ import annotations

import datetime

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from remediation import queue
from remediation.engine import cancel, launch, lookup, poll, recover
from remediation.engine.connection import STACKSTORM, NotConfigured, stackstorm_client
from remediation.models import Heartbeat
from remediation.stackstorm import StackStormClient

TICK_GRACE = datetime.timedelta(seconds=5)
KEPT = datetime.timedelta(days=1)


def launch_due(**_newer: object) -> None:
    """Start what is due in StackStorm, a bounded batch."""
    _show_life()
    if client := _stackstorm():
        launch.launch_due(client=client)


def poll_due(**_newer: object) -> None:
    """Ask StackStorm for the executions whose poll is due."""
    _show_life()
    if client := _stackstorm():
        poll.poll_due(client=client)


def run_local(**_newer: object) -> None:
    """Carry out one due local action, and have the next one carried out by whoever is free."""
    _show_life()
    if launch.run_local() and launch.is_local_due():
        queue.enqueue(queue.RUN_LOCAL)


def carry_out_stops(**_newer: object) -> None:
    """Do what is left to do for the runs that were stopped."""
    _show_life()
    cancel.carry_out_due()


def beat(**_newer: object) -> None:
    """Prove to the worker command that this cluster works; revive the chain of ticks."""
    _show_life()
    if Heartbeat.is_late("tick", at=timezone.now() - TICK_GRACE):
        queue.enqueue(queue.TICK)


def prune(**_newer: object) -> None:
    """Forget failed jobs and dead workers; what happened to alerts is kept elsewhere, for good."""
    _show_life()
    before = timezone.now() - KEPT
    queue.prune(before=before)
    Heartbeat.prune(before=before)


def tick(**_newer: object) -> None:
    """Do what time makes due; enqueue the next tick with the beat, so that there is one chain."""
    _show_life()
    interval = datetime.timedelta(seconds=settings.POLL_INTERVAL)
    at = timezone.now()
    with transaction.atomic():
        if not Heartbeat.beat("tick", at=at, interval=interval):
            return
        queue.enqueue(queue.TICK, at=at + interval)
    recover.recover()
    launch.expire()
    cancel.cancel_overdue()
    cancel.carry_out_due()
    if launch.is_local_due():
        queue.enqueue(queue.RUN_LOCAL)
    if client := _stackstorm():
        poll.poll_due(client=client)
        lookup.look_up_due(client=client)
        launch.launch_due(client=client)


def _stackstorm() -> StackStormClient | None:
    """Return the client; without one, have people read why what is due waits."""
    try:
        return stackstorm_client()
    except NotConfigured as error:
        if launch.is_stackstorm_due():
            Heartbeat.tell(STACKSTORM, str(error), at=timezone.now())
        return None


def _show_life() -> None:
    if own := queue.this_cluster():
        Heartbeat.show_life(own, at=timezone.now())
