"""Save the runs of newly matched alerts with their first executions, and wake the workers."""

from __future__ import annotations

from remediation import queue
from remediation.engine.guards import cooldown
from remediation.engine.intake.assignment import Assignments
from remediation.models import ActionExecution, Alert, BucketRun, Transition, TransitionBatch
from remediation.models.inserts import insert
from remediation.models.trace_tags import of_automatic_run


def save_runs(
    assignments: Assignments, *, batch: TransitionBatch, derives_tags: bool = True
) -> None:
    """Save the runs, the first execution of each pending run, and the changed alert reasons.

    ``derives_tags``: derive the trace tags from the alerts, else use random ones.
    """
    runs = assignments.runs
    insert(runs)
    executions = [
        ActionExecution.of_step(
            run,
            run.plan.steps[0],
            at=run.created_at,
            priority=run.alert.launch_priority,
            trace_tag=_trace_tag(run) if derives_tags else "",
        )
        for run in runs
        if run.status == BucketRun.Status.PENDING
    ]
    for execution in executions:
        if until := execution.run.held_until:
            execution.due_at = cooldown.repeat_deadline(until)
            execution.error_message = execution.run.reason
    insert(executions)
    subjects: list[BucketRun | ActionExecution] = [*runs, *executions]
    Transition.write(
        *(
            Transition.of(
                subject,
                cause=assignments.causes[subject.alert_id],
                from_status="",
                to_status=subject.status,
                reason=subject.reason if isinstance(subject, BucketRun) else "",
            )
            for subject in subjects
        ),
        batch=batch,
    )
    if assignments.alerts_with_new_reason:
        Alert.objects.bulk_update(assignments.alerts_with_new_reason, ["reason"])
    due = [execution for execution in executions if not execution.run.held_until]
    if any(execution.executed_via_stackstorm for execution in due):
        queue.enqueue(queue.LAUNCH_DUE)
    if any(not execution.executed_via_stackstorm for execution in due):
        queue.enqueue(queue.RUN_LOCAL)


def _trace_tag(run: BucketRun) -> str:
    """Return a tag that the run of the same alert gets again after a restore; '' for none.

    Without a ``startsAt`` that has passed, another episode could have the same time.
    """
    alert = run.alert
    if alert.starts_at > run.created_at:
        return ""
    return of_automatic_run(
        fingerprint=alert.fingerprint, starts_at=alert.starts_at, bucket_id=run.bucket_id
    )
