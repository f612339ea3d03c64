"""Set the outcome of an unknown execution, as a person decides it."""

from __future__ import annotations

from remediation.engine.operations.errors import NotPossible
from remediation.engine.outcomes.outcome import Outcome
from remediation.engine.outcomes.settle import settle
from remediation.models import ActionExecution, Cause

Status = ActionExecution.Status


def set_outcome(
    execution: ActionExecution, status: ActionExecution.Status, *, reason: str, cause: Cause
) -> None:
    """Settle an unknown execution by a person's word; its run goes on as if that had come in time.

    Raises NotPossible.
    """
    if execution.parent_id is not None:
        raise NotPossible(
            f"Execution {execution} is a task of a workflow: judge execution #"
            f"{execution.parent_id}, which is the whole."
        )
    if execution.status != Status.UNKNOWN:
        raise NotPossible(f"Execution {execution} is {execution.status}: only unknown is judged.")
    if status not in ActionExecution.FINAL:
        raise NotPossible(f"status: say how it ended: {', '.join(sorted(ActionExecution.FINAL))}.")
    if not reason.strip():
        raise NotPossible("reason: say how you know how it ended.")
    if not settle(execution, Outcome(status, f"judged by {cause.actor}: {reason}"), cause=cause):
        raise NotPossible(f"Execution {execution} was settled by somebody else in the meantime.")
