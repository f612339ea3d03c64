"""Store the tasks of a StackStorm workflow as rows of their own; they are never launched by us."""

from __future__ import annotations

from collections.abc import Sequence

from remediation.engine.outcomes.inquiries import end_of_task
from remediation.engine.outcomes.outcome import (
    OUTCOMES,
    complete_in,
    failure_reason,
    stackstorm_values,
)
from remediation.engine.secrets import masked
from remediation.json_values import fit
from remediation.models import ActionExecution, Cause, TransitionBatch
from remediation.stackstorm import Execution

Status = ActionExecution.Status


def write_task(
    parent: ActionExecution,
    task: Execution,
    inside: Sequence[Execution],
    *,
    cause: Cause,
    batch: TransitionBatch,
) -> None:
    """Keep one task of a workflow as StackStorm told it; it is never work of ours.

    ``inside``: its own tasks, if it is a workflow.
    """
    if ActionExecution.objects.filter(st2_execution_id=task.id).exists():
        return
    status = OUTCOMES.get(task.status, Status.UNKNOWN)
    reason = "" if status == Status.SUCCESS else failure_reason(task, inside)
    if status == Status.UNKNOWN:
        reason = f"it had not ended when its workflow ended: StackStorm said {task.status[:50]}"
    if unanswered := end_of_task(task):
        status, reason = unanswered
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
        parameters=fit(masked(dict(task.parameters)), source=complete_in(task)),
        error_message=reason,
        started_at=task.start_timestamp,
        completed_at=task.end_timestamp,
        st2_execution_id=task.id,
        **stackstorm_values(task),
    )
    row.record(cause=cause, reason=f"task of execution {parent.pk}", batch=batch)
