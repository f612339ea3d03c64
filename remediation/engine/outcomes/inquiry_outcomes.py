"""What inquiries mean for the outcome of the execution that asked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from remediation.engine.outcomes import inquiries
from remediation.engine.outcomes.outcome import Outcome
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
    """Return the outcome of an ended execution, given what became of its inquiries.

    A workflow is ``succeeded`` in StackStorm when its inquiry expires, though nothing that was to
    follow the answer has run: that is a timeout. ``tasks``: all descendants of a workflow.
    """
    asked = inquiries_among(tasks)
    expired = next((one.expired for one in asked if one.is_expired), "")
    if outcome.status == Status.SUCCESS and expired:
        outcome = replace(outcome, status=Status.TIMEOUT, reason=expired)
    elif remote.status == "timeout" and (ttl := ttl_of(remote.result)) is not None:
        outcome = replace(outcome, reason=expired_reason(remote.id, ttl_minutes=ttl))
    still_open = [one for one in asked if one.is_open]
    if still_open:
        note = inquiries.stay_open([one.id for one in still_open])
        reason = f"{outcome.reason}; {note}" if outcome.reason else note
        outcome = replace(outcome, reason=reason)
    if still_open or row.inquiries:
        values = outcome.values | {"inquiries": inquiries.as_stored(still_open)}
        outcome = replace(outcome, values=values)
    return outcome
