"""Cancel an execution in StackStorm, and end the row of one that StackStorm refuses to cancel."""

from __future__ import annotations

from remediation.engine.outcomes.deadlines import Deadline
from remediation.engine.outcomes.inquiries import stay_open, stored_inquiry
from remediation.engine.outcomes.outcome import Outcome
from remediation.engine.outcomes.settle import settle
from remediation.models import ActionExecution, BucketRun, Cause
from remediation.stackstorm import FINAL_STATUSES, Execution, ExecutionState, StackStormClient

Status = ActionExecution.Status


def is_to_be_canceled(row: ActionExecution) -> bool:
    """Return whether the execution's run is canceled; a ``stop`` lets it end by itself."""
    return row.run.stop == BucketRun.Stop.CANCEL


def cancel_remote(
    row: ActionExecution, state: ExecutionState, *, limit: Deadline, client: StackStormClient
) -> Execution | None:
    """Ask StackStorm to cancel a running execution; return it if it is final then.

    What StackStorm is canceling already is not asked for again. The row of an open inquiry, which
    StackStorm never cancels, ends here. Raises StackStormError.
    """
    if state.status == "canceling":
        return None
    answer = client.cancel(state.id)
    if not answer.is_accepted and answer.status == "pending":
        settle(row, _left_open(row, state.id, limit=limit), cause=Cause())
    elif answer.status in FINAL_STATUSES:
        remote = client.execution(state.id)
        return remote if remote.status in FINAL_STATUSES else None
    return None


def _left_open(row: ActionExecution, inquiry_id: str, *, limit: Deadline) -> Outcome:
    note = stay_open([inquiry_id])
    values = {
        "st2_action_execution_status": "pending",
        "inquiries": row.inquiries or [stored_inquiry(inquiry_id)],
    }
    if is_to_be_canceled(row):
        return Outcome(Status.SKIPPED, f"StackStorm cannot cancel an open inquiry: {note}", values)
    return Outcome(Status.TIMEOUT, f"{limit.out_of_time}; {note}", values)
