"""Move a run on when one of its executions has ended: try again, take the next step, or finish.

It works on the plan, inside the transaction that ended the execution, with the run's row locked.
"""

from __future__ import annotations

import datetime
import random
from typing import Any

from django.db.models import Prefetch, QuerySet, prefetch_related_objects

from remediation.engine.outcomes.inquiries import stay_open
from remediation.engine.step_rules import blocking_failures, reason_by_outcome
from remediation.models import (
    ActionExecution,
    BucketRun,
    BucketVersion,
    Cause,
    Transition,
    TransitionBatch,
)
from remediation.models.statements import insert

Status = ActionExecution.Status


def advance(
    run: BucketRun, last: ActionExecution, *, cause: Cause, batch: TransitionBatch
) -> list[ActionExecution]:
    """Move ``run`` on after ``last`` came to rest; return what was begun, for workers to take."""
    _take_in(run, last)
    begun: list[ActionExecution] = []
    if last.status == Status.UNKNOWN:
        run.finish(
            BucketRun.Status.UNKNOWN,
            cause=cause,
            batch=batch,
            reason=f"nobody knows how {last.name} ended: {last.error_message}",
        )
    elif run.stop:
        end_stopped(run, cause=cause, batch=batch)
    elif last.st2_action_execution_status == "canceled" and last.status == Status.SKIPPED:
        run.finish(
            BucketRun.Status.CANCELED,
            cause=cause,
            batch=batch,
            reason=f"{last.name} was canceled in StackStorm",
        )
    elif _may_try_again(run, last):
        begun = _try_again(run, last, cause=cause, batch=batch)
    else:
        begun = _take_next_step(run, last, cause=cause, batch=batch)
    return begun


def _take_in(run: BucketRun, last: ActionExecution) -> None:
    """Put what has just ended in the place of what was read of it before."""
    read: list[ActionExecution] = getattr(run, "attempts", [])
    read[:] = [last if row.pk == last.pk else row for row in read]


def end_stopped(run: BucketRun, *, cause: Cause, batch: TransitionBatch | None = None) -> None:
    """End a stopped run once none of its executions is in flight.

    It ends canceled, or as a timeout at the bucket's limit, with the reason of the stop. A
    ``stop`` that withheld nothing ends the run by its steps.
    """
    if run.executions.filter(parent=None).exclude(status__in=ActionExecution.FINAL).exists():
        return
    ended = last_attempts(run)
    if run.stop == BucketRun.Stop.STOP and _is_complete(run, ended):
        status, reason = _result(run, ended)
        run.finish(status, cause=cause, reason=reason, batch=batch)
        return
    reason = _reason_of_stop(run)
    is_overdue = reason == time_limit_reason(run.plan)
    status = BucketRun.Status.TIMEOUT if is_overdue else BucketRun.Status.CANCELED
    if still_open := [inquiry["id"] for row in ended for inquiry in row.inquiries]:
        reason = f"{reason}; {stay_open(still_open)}"
    run.finish(status, cause=cause, reason=reason, batch=batch)


def _reason_of_stop(run: BucketRun) -> str:
    """Return why the run was stopped, also if it was unknown since and has another reason now."""
    moves = Transition.objects.filter(subject_type=BucketRun.SUBJECT_TYPE, subject_id=run.pk)
    stops = [move.reason for move in moves.order_by("pk") if move.data.get("stop")]
    return stops[-1] if stops else run.reason


def _is_complete(run: BucketRun, ended: list[ActionExecution]) -> bool:
    """Return whether the plan's last step ended by itself, with no attempt left."""
    last = ended[-1] if ended else None
    return (
        last is not None
        and len(ended) == len(run.plan.steps)
        and last.status != Status.SKIPPED
        and not _may_try_again(run, last)
    )


def time_limit_reason(plan: BucketVersion) -> str:
    """Return the reason of a run that is stopped at the time limit of its bucket."""
    return f"not ended within {plan.timeout_seconds} s (timeout_seconds of the bucket)"


def _may_try_again(run: BucketRun, last: ActionExecution) -> bool:
    step = run.plan.step(last.step_order)
    # What was canceled, by us at its deadline or by others, may still run: never beside another.
    # An inquiry that could not be canceled ("pending") stays open.
    was_canceled = last.st2_action_execution_status in ("canceling", "canceled", "pending")
    is_failed = last.status in ActionExecution.FAILED and not was_canceled
    return is_failed and last.attempt < step["max_attempts"]


def _try_again(
    run: BucketRun, last: ActionExecution, *, cause: Cause, batch: TransitionBatch
) -> list[ActionExecution]:
    step = run.plan.step(last.step_order)
    # The jitter keeps a storm from coming back as one.
    at = cause.at + retry_delay(step, last.attempt + 1) * random.uniform(0.8, 1.0)  # noqa: S311
    attempt = ActionExecution.of_step(
        run, step, at=at, priority=last.priority, attempt=last.attempt + 1
    )
    insert([attempt])
    reason = f"attempt {attempt.attempt} of {step['max_attempts']}"
    attempt.record(cause=cause, reason=reason, batch=batch)
    return [attempt]


def retry_delay(step: dict[str, Any], attempt: int) -> datetime.timedelta:
    """Return the longest pause before an attempt: none before the first, then twice each time."""
    if attempt == 1:
        return datetime.timedelta(0)
    return datetime.timedelta(seconds=step["retry_delay_seconds"] * 2 ** (attempt - 2) * 1.25)


def _take_next_step(
    run: BucketRun, last: ActionExecution, *, cause: Cause, batch: TransitionBatch
) -> list[ActionExecution]:
    """Make the row of the next step that ``run_when`` lets run, or finish the run.

    The others become skipped rows with the reason. A condition is evaluated by the worker that
    launches the step: no template runs while the run's row is locked.
    """
    ended = last_attempts(run)
    for step in run.plan.steps:
        if step["step_order"] <= last.step_order:
            continue
        execution = ActionExecution.of_step(run, step, at=cause.at, priority=last.priority)
        failed = blocking_failures(run.plan.steps, ended)
        reason = reason_by_outcome(step, failed=failed[0] if failed else None)
        if reason:
            execution.status, execution.error_message = Status.SKIPPED, reason
            execution.due_at, execution.completed_at = None, cause.at
        insert([execution])
        execution.record(cause=cause, reason=reason, batch=batch)
        if not reason:
            return [execution]
        ended.append(execution)
    result, reason = _result(run, ended)
    run.finish(result, cause=cause, reason=reason, batch=batch)
    return []


def attempts() -> Prefetch[str, QuerySet[ActionExecution], str]:
    """Return how to have at hand, for many runs at once, what ``last_attempts`` reads."""
    rows = ActionExecution.objects.filter(parent=None).defer("parameters", "st2_result")
    return Prefetch("executions", rows.order_by("step_order", "attempt"), to_attr="attempts")


def last_attempts(run: BucketRun) -> list[ActionExecution]:
    """Return the last attempt of every step so far, in their order."""
    if not hasattr(run, "attempts"):
        prefetch_related_objects([run], attempts())
    rows: list[ActionExecution] = run.attempts  # type: ignore[attr-defined]
    return list({row.step_order: row for row in rows}.values())


def _result(run: BucketRun, ended: list[ActionExecution]) -> tuple[BucketRun.Status, str]:
    """Return how a run ends whose last step has ended, and why."""
    failed = blocking_failures(run.plan.steps, ended)
    if failed:
        timed_out = all(row.status == Status.TIMEOUT for row in failed)
        status = BucketRun.Status.TIMEOUT if timed_out else BucketRun.Status.FAILURE
        return status, f"{failed[0].name}: {failed[0].error_message}"
    if all(row.status == Status.SKIPPED for row in ended):
        return BucketRun.Status.SKIPPED, "every step was skipped"
    if run.status == BucketRun.Status.PENDING:
        # Failures that do not stop the run, of steps that waited too long: nothing was done.
        return BucketRun.Status.TIMEOUT, "no step was started in time"
    return BucketRun.Status.SUCCESS, ""
