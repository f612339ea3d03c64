"""Pause and resume launches. Executions in flight and the intake of alerts continue."""

from __future__ import annotations

import datetime
import logging

from django.db import transaction

from remediation import queue
from remediation.engine.secret_values import masked_text
from remediation.models import ActionExecution, Cause, Pause

logger = logging.getLogger(__name__)

Status = ActionExecution.Status


class InvalidPause(Exception):
    """A pause without a reason or with an end in the past."""


def pause(*, reason: str, expires_at: datetime.datetime | None, cause: Cause) -> Pause:
    """Stop launching executions; replace the current pause. Raises InvalidPause."""
    if not reason.strip():
        raise InvalidPause("reason: Give a reason; other users see it.")
    if problem := end_problem(expires_at, at=cause.at):
        raise InvalidPause(f"expires_at: {problem}")
    with transaction.atomic():
        _end(cause=cause)
        held = Pause.objects.create(
            reason=masked_text(reason.strip()),
            actor=cause.actor,
            actor_kind=cause.actor_kind,
            request_id=cause.request_id,
            created_at=cause.at,
            expires_at=expires_at,
        )
    logger.warning(
        "%s paused: %s",
        cause.actor,
        held,
        extra={"event": "pause.began", "actor": cause.actor, "reason": held.reason},
    )
    return held


def end_problem(expires_at: datetime.datetime | None, *, at: datetime.datetime) -> str:
    """Return why a pause cannot end at this time, or ''."""
    if expires_at is None or expires_at > at:
        return ""
    return "This time is in the past: give a later time or none."


def resume(*, cause: Cause) -> bool:
    """Resume launches; return whether PoundCake was paused."""
    with transaction.atomic():
        was_paused = _end(cause=cause)
        queue.enqueue(queue.LAUNCH_DUE)
        queue.enqueue(queue.RUN_LOCAL)
    if was_paused:
        extra = {"event": "pause.ended", "actor": cause.actor}
        logger.warning("%s resumed", cause.actor, extra=extra)
    return was_paused


def in_flight() -> list[ActionExecution]:
    """Return the executions that continue during a pause, oldest first, at most 200."""
    rows = ActionExecution.objects.filter(
        status__in=(Status.LAUNCHING, Status.RUNNING), parent=None
    )
    return list(rows.select_related("run__bucket", "alert").order_by("pk")[:200])


def _end(*, cause: Cause) -> bool:
    current = Pause.objects.filter(ended_at=None)
    was_paused = Pause.current(at=cause.at) is not None
    current.update(ended_at=cause.at, ended_by=cause.actor, ended_by_kind=cause.actor_kind)
    return was_paused
