"""Stop a run, or cancel it in StackStorm too: for a person, a resolve or a time limit.

The wish is written into ``run.stop`` before anybody is asked anything. From then on nothing of the
run starts; ``carry_out`` does the rest and is repeated until the run has ended, whoever dies.
"""

from __future__ import annotations

import datetime
import logging
from collections.abc import Iterable

from django.db import transaction
from django.db.models import prefetch_related_objects

from remediation import clock, queue
from remediation.engine import batches
from remediation.engine.alert_reasons import why_nothing_ran
from remediation.engine.outcomes.advance import end_stopped, time_limit_reason
from remediation.models import (
    ActionExecution,
    Alert,
    Bucket,
    BucketRun,
    Cause,
    IllegalTransitionError,
    Transition,
    TransitionBatch,
)

logger = logging.getLogger(__name__)

Status = ActionExecution.Status
OPEN = (BucketRun.Status.PENDING, BucketRun.Status.RUNNING)
READ_MAX = 2_000  # running runs that one call compares with their time limits

_stopped_in_turn = batches.Rotation()
_limited_in_turn = batches.Rotation()


def cancel(run: BucketRun, *, stop: BucketRun.Stop, reason: str, cause: Cause) -> None:
    """Stop one run. Raises IllegalTransitionError when it has ended or rests as unknown."""
    with transaction.atomic():
        locked = BucketRun.objects.select_for_update().get(pk=run.pk)
        if locked.status not in OPEN:
            raise IllegalTransitionError(f"Run {run} is {locked.status}: nothing is left to stop.")
        ask([locked], stop=stop, reason=reason, cause=cause)
    carry_out(run.pk, cause=cause)
    run.refresh_from_db()


def ask(
    runs: Iterable[BucketRun],
    *,
    stop: BucketRun.Stop,
    reason: str,
    cause: Cause,
    batch: TransitionBatch | None = None,
) -> None:
    """Write the wish into locked, open runs; one that is to be cancelled already stays so."""
    asked = [run for run in runs if run.stop != BucketRun.Stop.CANCEL and run.stop != stop]
    for run in asked:
        run.stop, run.reason = stop, reason
    BucketRun.objects.bulk_update(asked, ["stop", "reason"])
    Transition.write(
        *(
            Transition.of(
                run,
                cause=cause,
                from_status=run.status,
                to_status=run.status,
                reason=reason,
                data={"stop": str(stop)},
            )
            for run in asked
        ),
        batch=batch,
    )
    if asked:
        queue.enqueue(queue.TICK)


def carry_out_due() -> int:
    """Do what is left to do for stopped runs that are still open; return how many.

    A bounded batch: of more runs the others follow in the next calls.
    """
    stopped = BucketRun.objects.filter(status__in=OPEN).exclude(stop=BucketRun.Stop.NO)
    ids = _stopped_in_turn.take(stopped, limit=batches.ROWS_MAX)
    for run_id in ids:
        with batches.isolate(f"run {run_id}", job="cancel"):
            carry_out(run_id, cause=Cause())
    return len(ids)


def cancel_overdue() -> int:
    """Cancel runs that are older than the time limit of their bucket, a bounded batch.

    Returns how many were overdue.
    """
    at = clock.now()
    limited = list(Bucket.objects.filter(timeout_seconds__gt=0).values_list("pk", flat=True))
    if not limited:
        return 0
    running = BucketRun.objects.filter(status=BucketRun.Status.RUNNING, bucket__in=limited)
    # Most are in time, so no more of them is read than tells that.
    rows = running.exclude(stop=BucketRun.Stop.CANCEL).only("plan", "started_at")
    ids = _limited_in_turn.take(rows, limit=READ_MAX)
    runs = list(rows.filter(pk__in=ids))
    prefetch_related_objects(runs, "plan")
    overdue: list[int] = []
    for run in runs:
        with batches.isolate(run, job="cancel"):
            if _is_out_of_time(run, at=at):
                overdue.append(run.pk)
    overdue = overdue[: batches.ROWS_MAX]
    for run in BucketRun.objects.filter(pk__in=overdue).select_related("plan"):
        with batches.isolate(run, job="cancel"):
            _cancel_overdue(run, at=at)
    return len(overdue)


def _cancel_overdue(run: BucketRun, *, at: datetime.datetime) -> None:
    reason = time_limit_reason(run.plan)
    try:
        cancel(run, stop=BucketRun.Stop.CANCEL, reason=reason, cause=Cause(at=at))
    except IllegalTransitionError as error:
        logger.info("Ended before it was canceled: %s", error)


def _is_out_of_time(run: BucketRun, *, at: datetime.datetime) -> bool:
    seconds = run.plan.timeout_seconds
    if not seconds or run.started_at is None:
        return False
    return at >= run.started_at + datetime.timedelta(seconds=seconds)


def carry_out(run_id: int, *, cause: Cause) -> None:
    """Skip what has not begun, hurry what can be cancelled, and end the run if nothing is left."""
    with transaction.atomic():
        run = BucketRun.objects.select_for_update().get(pk=run_id)
        if not run.stop or run.status not in OPEN:
            return
        rows = list(
            run.executions.filter(parent=None)
            .exclude(status__in=ActionExecution.FINAL)
            .order_by("pk")
        )
        for row in rows:
            if row.status == Status.PENDING or _only_waits(row):
                row.finish(Status.SKIPPED, cause=cause, reason=run.reason)
        if run.stop == BucketRun.Stop.CANCEL and _hurry(run, at=cause.at):
            queue.enqueue(queue.TICK)
        end_stopped(run, cause=cause)
        if run.held_until and not run.started_at and run.status in BucketRun.FINAL:
            Alert.objects.filter(pk=run.alert_id).update(reason=why_nothing_ran(run))


def _only_waits(row: ActionExecution) -> bool:
    # A local action that runs already is over in seconds; one in its delay has done nothing yet.
    return (
        row.status == Status.RUNNING and not row.executed_via_stackstorm and row.due_at is not None
    )


def _hurry(run: BucketRun, *, at: datetime.datetime) -> int:
    """Make the polls of a run due, which ask StackStorm to cancel; return how many."""
    running = run.executions.filter(
        parent=None, status=Status.RUNNING, executed_via_stackstorm=True, due_at__gt=at
    )
    return running.update(due_at=at)
