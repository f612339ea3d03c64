"""How an execution ended: its status, the reason and the columns to store."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from remediation.engine.secret_values import masked, masked_text
from remediation.models import ActionExecution
from remediation.stackstorm import Execution, ExecutionResult, failure_text
from remediation.values.json_values import fit

Status = ActionExecution.Status


# Maps StackStorm's final statuses to ours; any other status leaves the row unchanged.
OUTCOMES = {
    "succeeded": Status.SUCCESS,
    "failed": Status.FAILURE,
    "abandoned": Status.FAILURE,
    "timeout": Status.TIMEOUT,
    "canceled": Status.SKIPPED,
}


CANCELED_REASON = "canceled in StackStorm; its command may still have run to its end"


@dataclass(frozen=True, slots=True)
class Outcome:
    """How an execution ended. ``reason``: for the operator; ``values``: further columns."""

    status: ActionExecution.Status
    reason: str = ""
    values: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def success(cls, result: Any, *, secrets: Collection[str] = ()) -> Outcome:
        """Return the outcome of a local action that succeeded.

        ``secrets``: more texts to mask, beside the known secrets.
        """
        return cls(Status.SUCCESS, values={"st2_result": fit(masked(result, also=secrets))})

    @classmethod
    def failure(cls, reason: str, result: Any = None, *, secrets: Collection[str] = ()) -> Outcome:
        """Return a failure with its reason, secrets masked. ``secrets``: more texts to mask."""
        values = {} if result is None else {"st2_result": fit(masked(result, also=secrets))}
        return cls(Status.FAILURE, masked_text(reason, also=secrets), values)

    @classmethod
    def unknown(cls, reason: str) -> Outcome:
        """Return an unknown outcome; the run waits until an operator sets it."""
        return cls(Status.UNKNOWN, reason)

    @classmethod
    def of(cls, remote: Execution | ExecutionResult, *, tasks: Sequence[Execution] = ()) -> Outcome:
        """Return the outcome of a final StackStorm execution with these ``tasks``."""
        status = OUTCOMES[remote.status]
        reason = ""
        if status == Status.SKIPPED:
            reason = CANCELED_REASON
        elif status != Status.SUCCESS:
            reason = failure_reason(remote, tasks)
        return cls(status, reason, stackstorm_values(remote))


def stackstorm_values(remote: Execution | ExecutionResult) -> dict[str, Any]:
    """Return the columns that hold StackStorm's data about an execution, without its id."""
    values = {
        "st2_action_execution_status": remote.status[:50],
        "st2_result": fit(masked(remote.result), source=complete_result_note(remote)),
    }
    if isinstance(remote, Execution):
        values |= {
            "st2_liveaction_id": remote.liveaction_id or None,
            "st2_web_url": remote.web_url,
        }
    return values


def complete_result_note(remote: Execution | ExecutionResult) -> str:
    """Return the note in a truncated result that says where the complete one is."""
    return f"StackStorm has it complete as execution {remote.id}"


def failure_reason(remote: Execution | ExecutionResult, tasks: Sequence[Execution] = ()) -> str:
    """Return why a StackStorm execution failed, secrets masked, in at most 2,000 characters.

    ``tasks``: of a workflow; used when its own result gives no reason.
    """
    # Mask before truncating: a secret that is cut in half is no longer recognized.
    text = failure_text(remote.status, masked(remote.result))
    if not text and tasks:
        masked_tasks = [replace(task, result=masked(task.result)) for task in tasks]
        text = failure_text(remote.status, masked(remote.result), masked_tasks)
    return masked_text(text or f"StackStorm: {remote.status}")
