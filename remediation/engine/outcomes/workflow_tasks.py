"""Store the tasks of a StackStorm workflow as rows. PoundCake never launches them."""

from __future__ import annotations

from collections.abc import Sequence

from remediation.engine.outcomes.inquiry_outcomes import unanswered_outcome
from remediation.engine.outcomes.outcome import (
    OUTCOMES,
    complete_result_note,
    failure_reason,
    stackstorm_values,
)
from remediation.engine.secret_values import masked
from remediation.models import ActionExecution, Cause, TransitionBatch
from remediation.stackstorm import Execution
from remediation.values.json_values import fit

Status = ActionExecution.Status


def write_task(
    parent: ActionExecution,
    task: Execution,
    subtasks: Sequence[Execution],
    *,
    cause: Cause,
    batch: TransitionBatch,
) -> None:
    """Store one task of an ended workflow, unless it is stored already.

    ``subtasks``: the task's own tasks, if it is a workflow.
    """
    if ActionExecution.objects.filter(st2_execution_id=task.id).exists():
        return
    status = OUTCOMES.get(task.status, Status.UNKNOWN)
    reason = "" if status == Status.SUCCESS else failure_reason(task, subtasks)
    if status == Status.UNKNOWN:
        reason = f"not ended when its workflow ended; status in StackStorm: {task.status[:50]}"
    if unanswered := unanswered_outcome(task):
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
        parameters=fit(masked(dict(task.parameters)), source=complete_result_note(task)),
        error_message=reason,
        started_at=task.start_timestamp,
        completed_at=task.end_timestamp,
        st2_execution_id=task.id,
        **stackstorm_values(task),
    )
    row.record(cause=cause, reason=f"task of execution {parent.pk}", batch=batch)
