"""How inquiries change the outcome of an execution and of a workflow's tasks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from remediation.engine.outcomes.outcome import Outcome
from remediation.engine.outcomes.stored_inquiries import as_stored
from remediation.models import ActionExecution
from remediation.stackstorm import (
    Execution,
    ExecutionResult,
    expired_reason,
    inquiries_among,
    ttl_of,
)

Status = ActionExecution.Status


def with_inquiries(
    outcome: Outcome,
    row: ActionExecution,
    remote: Execution | ExecutionResult,
    tasks: Sequence[Execution],
) -> Outcome:
    """Return the outcome of an ended execution, adjusted for expired and open inquiries.

    StackStorm reports a workflow as ``succeeded`` when its inquiry expires, although the tasks
    after the inquiry did not run: that is a timeout. ``tasks``: all descendants of a workflow.
    """
    asked = inquiries_among(tasks)
    expired = next((one.expired for one in asked if one.is_expired), "")
    if outcome.status == Status.SUCCESS and expired:
        outcome = replace(outcome, status=Status.TIMEOUT, reason=expired)
    elif remote.status == "timeout" and (ttl := ttl_of(remote.result)) is not None:
        outcome = replace(outcome, reason=expired_reason(remote.id, ttl_minutes=ttl))
    still_open = [one for one in asked if one.is_open]
    if still_open:
        note = left_open_note([one.id for one in still_open])
        reason = f"{outcome.reason}; {note}" if outcome.reason else note
        outcome = replace(outcome, reason=reason)
    if still_open or row.inquiries:
        values = outcome.values | {"inquiries": as_stored(still_open)}
        outcome = replace(outcome, values=values)
    return outcome


def unanswered_outcome(task: Execution) -> tuple[Status, str] | None:
    """Return status and reason of an unanswered inquiry in an ended workflow.

    None: ``task`` is not an inquiry, or it was answered.
    """
    for inquiry in inquiries_among([task]):
        if inquiry.is_open:
            return Status.SKIPPED, left_open_note([inquiry.id])
        if inquiry.is_expired:
            return Status.TIMEOUT, inquiry.expired
    return None


def left_open_note(ids: Sequence[str]) -> str:
    """Return the note about inquiries that are still open when their execution has ended."""
    if len(ids) == 1:
        return f"the inquiry {ids[0]} stays open in StackStorm; an answer has no effect any more"
    return (
        f"the inquiries {', '.join(ids)} stay open in StackStorm; answers have no effect any more"
    )
