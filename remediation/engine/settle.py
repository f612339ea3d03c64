"""Take an execution's outcome, from whichever tells it first, and move its run on.

Poll, callback and worker all end in ``settle``: a final status never changes, and the outcome and
what follows from it are one transaction.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import Any

from django.db import transaction

from remediation.engine.advance import advance
from remediation.engine.parameters import known_secrets, masked
from remediation.models import ActionExecution, BucketRun, Cause, IllegalTransitionError
from remediation.redaction import mask_text
from remediation.stackstorm import Execution

logger = logging.getLogger(__name__)

Status = ActionExecution.Status

# The seed's map, completed: what StackStorm's final words mean here. No other word moves a row.
OUTCOMES = {
    "succeeded": Status.SUCCESS,
    "failed": Status.FAILURE,
    "abandoned": Status.FAILURE,
    "timeout": Status.TIMEOUT,
    "canceled": Status.SKIPPED,
}
CANCELED_REASON = (
    "canceled in StackStorm; the command that it had started may still have run to its end"
)


@dataclass(frozen=True, slots=True)
class Outcome:
    """How an execution ended. ``reason``: for the operator; ``values``: further columns."""

    status: ActionExecution.Status
    reason: str = ""
    values: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def success(cls, result: Any) -> Outcome:
        """Return the outcome of a local action that did what it should."""
        return cls(Status.SUCCESS, values={"st2_result": masked(result)})

    @classmethod
    def failure(cls, reason: str, result: Any = None) -> Outcome:
        """Return a failure that a person has to read about."""
        values = {} if result is None else {"st2_result": masked(result)}
        return cls(Status.FAILURE, reason, values)

    @classmethod
    def unknown(cls, reason: str) -> Outcome:
        """Return that nobody knows; the run waits for a person."""
        return cls(Status.UNKNOWN, reason)

    @classmethod
    def of(cls, remote: Execution) -> Outcome:
        """Return the outcome of a StackStorm execution that is final."""
        status = OUTCOMES[remote.status]
        reason = ""
        if status == Status.SKIPPED:
            reason = CANCELED_REASON
        elif status != Status.SUCCESS:
            reason = failure_text(remote)
        return cls(status, reason, stackstorm_values(remote))


def stackstorm_values(remote: Execution) -> dict[str, Any]:
    """Return the columns that hold what StackStorm says of an execution."""
    return {
        "st2_execution_id": remote.id,
        "st2_liveaction_id": remote.liveaction_id or None,
        "st2_action_execution_status": remote.status[:50],
        "st2_web_url": remote.web_url,
        "st2_result": masked(remote.result),
    }


def failure_text(remote: Execution) -> str:
    """Return what went wrong, in the words of the result; its shape depends on the runner."""
    result = remote.result
    text = ""
    if isinstance(result, dict):
        errors = result.get("errors")
        first = errors[0] if isinstance(errors, list) and errors else {}
        text = next(
            (
                str(found).strip()
                for found in (
                    result.get("error"),
                    first.get("message") if isinstance(first, dict) else first,
                    result.get("stderr"),
                    result.get("body"),
                )
                if found
            ),
            "",
        )
    text = f"StackStorm: {remote.status}" + (f": {text}" if text else "")
    return mask_text(text[:2_000], known_secrets())


def started(
    execution: ActionExecution, remote: Execution, *, cause: Cause, reason: str = ""
) -> None:
    """Record that StackStorm has the execution; the poll asks for its outcome from now on."""
    execution.mark_running(
        cause=cause,
        reason=reason,
        due_at=cause.at,
        st2_execution_id=remote.id,
        st2_liveaction_id=remote.liveaction_id or None,
        st2_action_execution_status=remote.status[:50],
        st2_web_url=remote.web_url,
        running_at=cause.at if remote.status == "running" else None,
    )


def settle(
    execution: ActionExecution,
    outcome: Outcome,
    *,
    cause: Cause,
    tasks: list[Execution] | None = None,
) -> bool:
    """End an execution and move its run on; return False when it had ended before.

    ``tasks``: of a workflow, kept as rows of their own.
    """
    with transaction.atomic():
        run = BucketRun.objects.select_for_update().get(pk=execution.run_id)
        try:
            execution.finish(outcome.status, cause=cause, reason=outcome.reason, **outcome.values)
        except IllegalTransitionError as error:
            logger.info("Settled before: %s", error)
            return False
        for task in tasks or ():
            _write_task(execution, task, cause=cause)
        if run.status == BucketRun.Status.UNKNOWN:
            run.mark_running(cause=cause, reason="the outcome became known")
        elif run.status == BucketRun.Status.PENDING:
            run.mark_running(cause=cause)
        advance(run, execution, cause=cause)
    return True


def _write_task(parent: ActionExecution, task: Execution, *, cause: Cause) -> None:
    """Keep one task of a workflow as StackStorm told it; it is never work of ours."""
    if ActionExecution.objects.filter(st2_execution_id=task.id).exists():
        return
    status = OUTCOMES.get(task.status, Status.UNKNOWN)
    last = parent.tasks.order_by("step_order").last()
    row = ActionExecution.objects.create(
        request_id=parent.request_id,
        run_id=parent.run_id,
        alert_id=parent.alert_id,
        bucket_id=parent.bucket_id,
        parent=parent,
        step_order=last.step_order + 1 if last else 1,
        attempt=parent.attempt,
        name=(task.task_name or task.action_ref)[:200],
        status=status,
        parameters=masked(dict(task.parameters)),
        error_message="" if status == Status.SUCCESS else failure_text(task),
        started_at=task.start_timestamp,
        completed_at=task.end_timestamp,
        **stackstorm_values(task),
    )
    row.record(cause=cause, reason=f"task of execution {parent.pk}")
