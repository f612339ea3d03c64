"""Set the outcome of an unknown execution on behalf of a user."""

from __future__ import annotations

from remediation.engine.operations.errors import NotPossible
from remediation.engine.outcomes.outcome import Outcome
from remediation.engine.outcomes.settle import settle
from remediation.engine.secret_values import masked_text
from remediation.models import ActionExecution, Cause

Status = ActionExecution.Status


def set_outcome(
    execution: ActionExecution, status: ActionExecution.Status, *, reason: str, cause: Cause
) -> None:
    """Settle an unknown execution with the given final status; its run continues.

    Raises NotPossible.
    """
    if execution.parent_id is not None:
        raise NotPossible(
            f"Execution {execution} is a task of a workflow: set the outcome of the workflow"
            f" execution #{execution.parent_id} instead."
        )
    if execution.status != Status.UNKNOWN:
        raise NotPossible(
            f"Execution {execution} is {execution.status}: only an unknown outcome can be set."
            f" {_advice(execution)}."
        )
    if status not in ActionExecution.FINAL:
        raise NotPossible(f"status: use one of {', '.join(sorted(ActionExecution.FINAL))}.")
    if not reason.strip():
        raise NotPossible("reason: say how you know the outcome.")
    outcome = Outcome(status, f"outcome set by {cause.actor}: {masked_text(reason)}")
    if not settle(execution, outcome, cause=cause):
        raise NotPossible(
            f"Execution {execution} has just got its outcome from StackStorm or another user: read"
            " it again."
        )


def _advice(execution: ActionExecution) -> str:
    if execution.status in ActionExecution.FINAL:
        return f"Retry run {execution.run_id} to run it again"
    return f"Wait until it ends, or cancel run {execution.run_id}"
