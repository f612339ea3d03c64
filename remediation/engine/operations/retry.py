"""Start runs on request: retries, manual runs and matching again.

Each is a new run with the next number; a finished run never changes. The number is unique, so of
two concurrent requests one fails.
"""

from __future__ import annotations

from django.db import IntegrityError, transaction
from django.db.models import Max

from remediation import queue
from remediation.engine.guards import cooldown
from remediation.engine.operations.errors import NotPossible
from remediation.engine.outcomes.advance import last_attempts, read_attempts
from remediation.matching import Matcher
from remediation.models import (
    ActionExecution,
    Alert,
    Bucket,
    BucketRun,
    BucketVersion,
    Cause,
    Transition,
)

Status = ActionExecution.Status
REQUESTED_PRIORITY = 0  # before all automatic runs, since a user waits


def retry_from_failed(run: BucketRun, *, cause: Cause) -> BucketRun:
    """Retry a run with the same plan from its first failed step. Raises NotPossible."""
    _require_ended(run)
    last = last_attempts(read_attempts([run.pk])[run.pk])
    failed = next((row for row in last if row.status in ActionExecution.FAILED), None)
    if failed is None:
        raise NotPossible(f"Run {run} has no failed step: retry it from the start.")
    done = [row for row in last if row.step_order < failed.step_order]
    return _start(
        run.alert,
        run.bucket,
        plan=run.plan,
        trigger=BucketRun.Trigger.RETRY,
        cause=cause,
        retry_of=run,
        done=done,
    )


def retry_from_start(run: BucketRun, *, cause: Cause) -> BucketRun:
    """Retry a run with the current version of its bucket. Raises NotPossible."""
    _require_ended(run)
    return _start(run.alert, run.bucket, trigger=BucketRun.Trigger.RETRY, cause=cause, retry_of=run)


def run_manually(bucket: Bucket, alert: Alert, *, cause: Cause) -> BucketRun:
    """Run a bucket for an alert, even if it does not match. Raises NotPossible."""
    return _start(alert, bucket, trigger=BucketRun.Trigger.MANUAL, cause=cause)


def match_again(alert: Alert, *, cause: Cause) -> list[BucketRun]:
    """Run all buckets that match the alert now, or none. Raises NotPossible."""
    buckets = Bucket.objects.filter(is_enabled=True, trigger_on=Bucket.TriggerOn.FIRING)
    by_id = {bucket.pk: bucket for bucket in buckets}
    specs = Matcher(bucket.spec for bucket in by_id.values()).match(alert.labels)
    if not specs:
        raise NotPossible(
            f"No bucket matches alert {alert} now. Its explanation shows for each bucket why."
        )
    with transaction.atomic():
        return [run_manually(by_id[spec.id], alert, cause=cause) for spec in specs]


def _start(
    alert: Alert,
    bucket: Bucket,
    *,
    trigger: BucketRun.Trigger,
    cause: Cause,
    plan: BucketVersion | None = None,
    retry_of: BucketRun | None = None,
    done: list[ActionExecution] | None = None,
) -> BucketRun:
    try:
        with transaction.atomic():
            locked = Bucket.objects.select_for_update().get(pk=bucket.pk)
            number = _next_number(alert, locked)
            plan = plan or BucketVersion.record(locked, cause=cause)
            if plan.problem:
                raise NotPossible(plan.problem)
            if not locked.is_enabled:
                raise NotPossible(f"The bucket {locked} is disabled: enable it first.")
            run = BucketRun.objects.create(
                request_id=alert.request_id,
                alert=alert,
                bucket=bucket,
                number=number,
                trigger=trigger,
                retry_of=retry_of,
                actor=cause.actor,
                actor_kind=cause.actor_kind,
                identity=cooldown.identity(alert, bucket),
                plan=plan,
                created_at=cause.at,
            )
            Transition.write(Transition.of(run, cause=cause, from_status="", to_status=run.status))
            _make_executions(run, done or [], cause=cause)
            return run
    except IntegrityError as error:
        raise NotPossible(
            f"Another request has just started {bucket.name} for alert {alert}."
        ) from error


def _require_ended(run: BucketRun) -> None:
    if run.status not in BucketRun.FINAL:
        raise NotPossible(f"Run {run} is {run.status}: {_advice(run)}. Then retry it.")


def _next_number(alert: Alert, bucket: Bucket) -> int:
    runs = BucketRun.objects.filter(alert=alert, bucket=bucket)
    blocking = runs.exclude(status__in=BucketRun.FINAL).first()
    if blocking:
        raise NotPossible(f"Run {blocking} is {blocking.status}: {_advice(blocking)}.")
    newest = runs.aggregate(number=Max("number"))["number"]
    # Number 1 is reserved for the automatic run.
    return max(newest or 0, BucketRun.AUTOMATIC) + 1


def _advice(blocking: BucketRun) -> str:
    if blocking.status == BucketRun.Status.UNKNOWN:
        return "set the outcome of its unknown execution first"
    if blocking.held_until:
        return f"{blocking.reason}. Cancel it to start the bucket now"
    return "wait until it ends, or cancel it"


def _make_executions(run: BucketRun, done: list[ActionExecution], *, cause: Cause) -> None:
    """Create skipped executions for the ``done`` steps and a pending one for the next step."""
    for row in done:
        step = run.plan.step(row.step_order)
        skipped = ActionExecution.of_step(run, step, at=cause.at, priority=REQUESTED_PRIORITY)
        skipped.status, skipped.due_at, skipped.completed_at = Status.SKIPPED, None, cause.at
        skipped.done_in = row.done_in or row
        skipped.error_message = f"done in run {skipped.done_in.run_id}"
        skipped.save()
        skipped.record(cause=cause, reason=skipped.error_message)
    step = run.plan.steps[len(done)]
    first = ActionExecution.of_step(run, step, at=cause.at, priority=REQUESTED_PRIORITY)
    first.save()
    first.record(cause=cause)
    queue.enqueue(queue.LAUNCH_DUE if first.executed_via_stackstorm else queue.RUN_LOCAL)
