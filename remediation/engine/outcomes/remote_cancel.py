"""Cancel executions in StackStorm, and end those whose inquiry StackStorm cannot cancel."""

from __future__ import annotations

from remediation.engine.outcomes.deadlines import Deadline
from remediation.engine.outcomes.inquiry_outcomes import left_open_note
from remediation.engine.outcomes.outcome import Outcome
from remediation.engine.outcomes.settle import settle
from remediation.engine.outcomes.stored_inquiries import stored_inquiry
from remediation.models import ActionExecution, BucketRun, Cause
from remediation.stackstorm import FINAL_STATUSES, Execution, ExecutionState, StackStormClient

Status = ActionExecution.Status


def is_cancel_requested(row: ActionExecution) -> bool:
    """Return whether the execution's run is being canceled, and not only stopped after it."""
    return row.run.stop == BucketRun.Stop.CANCEL


def cancel_remote(
    row: ActionExecution, state: ExecutionState, *, limit: Deadline, client: StackStormClient
) -> Execution | None:
    """Cancel a running execution in StackStorm; return it if it is final now.

    An execution that StackStorm is canceling already is left alone. StackStorm never cancels an
    open inquiry, so its row is settled here. Raises StackStormError.
    """
    if state.status == "canceling":
        return None
    response = client.cancel(state.id)
    if not response.is_accepted and response.status == "pending":
        settle(row, _left_open_outcome(row, state.id, limit=limit), cause=Cause())
    elif response.status in FINAL_STATUSES:
        remote = client.execution(state.id)
        return remote if remote.status in FINAL_STATUSES else None
    return None


def _left_open_outcome(row: ActionExecution, inquiry_id: str, *, limit: Deadline) -> Outcome:
    note = left_open_note([inquiry_id])
    values = {
        "st2_action_execution_status": "pending",
        "inquiries": row.inquiries or [stored_inquiry(inquiry_id)],
    }
    if is_cancel_requested(row):
        return Outcome(Status.SKIPPED, f"StackStorm cannot cancel an open inquiry: {note}", values)
    return Outcome(Status.TIMEOUT, f"{limit.timeout_reason}; {note}", values)
