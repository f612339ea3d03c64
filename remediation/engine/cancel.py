"""Stop a run, or cancel it in StackStorm too: for an operator, a resolve or a time limit.

``run.stop`` is committed before StackStorm is called. From then on no execution of the run starts.
``apply_stop`` is idempotent; the tick repeats it until the run has ended, so a crash loses nothing.
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
from remediation.engine.secret_values import masked_text
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
CHECKED_MAX = 2_000  # running runs whose time limits one call checks

_stopped_runs = batches.Rotation()
_limited_runs = batches.Rotation()


def cancel(run: BucketRun, *, stop: BucketRun.Stop, reason: str, cause: Cause) -> None:
    """Stop one run. Raises IllegalTransitionError if it has ended or is unknown."""
    with transaction.atomic():
        locked = BucketRun.objects.select_for_update().get(pk=run.pk)
        if locked.status not in BucketRun.OPEN:
            raise IllegalTransitionError(f"Run {run} is {locked.status}: nothing is left to stop.")
        request_stop([locked], stop=stop, reason=masked_text(reason), cause=cause)
    apply_stop(run.pk, cause=cause)
    run.refresh_from_db()


def request_stop(
    runs: Iterable[BucketRun],
    *,
    stop: BucketRun.Stop,
    reason: str,
    cause: Cause,
    batch: TransitionBatch | None = None,
) -> None:
    """Write ``stop`` into locked, open runs. ``cancel`` is never replaced by ``stop``."""
    changed = [run for run in runs if run.stop != BucketRun.Stop.CANCEL and run.stop != stop]
    for run in changed:
        run.stop, run.reason = stop, reason
    BucketRun.objects.bulk_update(changed, ["stop", "reason"])
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
            for run in changed
        ),
        batch=batch,
    )
    if changed:
        queue.enqueue(queue.TICK)


def apply_stops() -> int:
    """Call ``apply_stop`` for a bounded batch of stopped, open runs; return how many.

    Further calls continue with the other runs.
    """
    stopped = BucketRun.objects.filter(status__in=BucketRun.OPEN).exclude(stop=BucketRun.Stop.NO)
    ids = _stopped_runs.take(stopped, limit=batches.ROWS_MAX)
    for run_id in ids:
        with batches.isolate(f"run {run_id}", job="cancel"):
            apply_stop(run_id, cause=Cause())
    return len(ids)


def cancel_overdue() -> int:
    """Cancel a bounded batch of runs that exceed their bucket's time limit; return how many."""
    at = clock.now()
    limited = list(Bucket.objects.filter(timeout_seconds__gt=0).values_list("pk", flat=True))
    if not limited:
        return 0
    running = BucketRun.objects.filter(status=BucketRun.Status.RUNNING, bucket__in=limited)
    # Most runs are within their limits, so read only the columns that show it.
    rows = running.exclude(stop=BucketRun.Stop.CANCEL).only("plan", "started_at")
    ids = _limited_runs.take(rows, limit=CHECKED_MAX)
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
        logger.info("Not canceled at its time limit: %s", error)


def _is_out_of_time(run: BucketRun, *, at: datetime.datetime) -> bool:
    seconds = run.plan.timeout_seconds
    if not seconds or run.started_at is None:
        return False
    return at >= run.started_at + datetime.timedelta(seconds=seconds)


def apply_stop(run_id: int, *, cause: Cause) -> None:
    """Skip pending executions, make polls that cancel due, and finish the run if none is left."""
    with transaction.atomic():
        run = BucketRun.objects.select_for_update().get(pk=run_id)
        if not run.stop or run.status not in BucketRun.OPEN:
            return
        rows = list(
            run.executions.filter(parent=None)
            .exclude(status__in=ActionExecution.FINAL)
            .order_by("pk")
        )
        for row in rows:
            if row.status == Status.PENDING or _is_delayed_locally(row):
                row.finish(Status.SKIPPED, cause=cause, reason=run.reason)
        if run.stop == BucketRun.Stop.CANCEL and _poll_now(run, at=cause.at):
            queue.enqueue(queue.TICK)
        end_stopped(run, cause=cause)
        if run.held_until and not run.started_at and run.status in BucketRun.FINAL:
            Alert.objects.filter(pk=run.alert_id).update(reason=why_nothing_ran(run))


def _is_delayed_locally(row: ActionExecution) -> bool:
    # A local action in its delay has done nothing yet. One that has started ends within seconds.
    return (
        row.status == Status.RUNNING and not row.executed_via_stackstorm and row.due_at is not None
    )


def _poll_now(run: BucketRun, *, at: datetime.datetime) -> int:
    """Make the polls of a run due, which cancel in StackStorm; return how many."""
    running = run.executions.filter(
        parent=None, status=Status.RUNNING, executed_via_stackstorm=True, due_at__gt=at
    )
    return running.update(due_at=at)
