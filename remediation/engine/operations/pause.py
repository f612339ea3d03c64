"""Hold everything back, and let it go on. What is in flight goes on; intake too."""

from __future__ import annotations

import datetime

from django.db import transaction

from remediation import queue
from remediation.models import ActionExecution, Cause, Pause

Status = ActionExecution.Status


class InvalidPause(Exception):
    """A pause without a reason or in the past; the text says which."""


def pause(*, reason: str, expires_at: datetime.datetime | None, cause: Cause) -> Pause:
    """Start nothing from now on; a pause that holds is replaced. Raises InvalidPause."""
    if not reason.strip():
        raise InvalidPause("reason: say why, for whoever wonders why nothing runs.")
    if expires_at and expires_at <= cause.at:
        raise InvalidPause("expires_at: this time is over; name a later one or none.")
    with transaction.atomic():
        _end(cause=cause)
        return Pause.objects.create(
            reason=reason.strip(),
            actor=cause.actor,
            request_id=cause.request_id,
            created_at=cause.at,
            expires_at=expires_at,
        )


def resume(*, cause: Cause) -> bool:
    """Let everything go on; return whether it was held back."""
    with transaction.atomic():
        was_paused = _end(cause=cause)
        queue.enqueue(queue.LAUNCH_DUE)
        queue.enqueue(queue.RUN_LOCAL)
    return was_paused


def in_flight() -> list[ActionExecution]:
    """Return what goes on during a pause: started and not ended, oldest first."""
    rows = ActionExecution.objects.filter(
        status__in=(Status.LAUNCHING, Status.RUNNING), parent=None
    )
    return list(rows.select_related("run__bucket", "alert").order_by("pk")[:200])


def _end(*, cause: Cause) -> bool:
    holding = Pause.objects.filter(ended_at=None)
    was_paused = Pause.current(at=cause.at) is not None
    holding.update(ended_at=cause.at, ended_by=cause.actor)
    return was_paused
