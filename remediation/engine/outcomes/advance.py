"""Advance a run after one of its executions ended: retry, start the next step, or finish the run.

Callers hold the lock on the run's row, in the transaction that ended the execution. Steps come
from the run's plan, so later edits of the bucket do not matter.
"""

from __future__ import annotations

import datetime
import random
from collections.abc import Collection, Iterable, Sequence
from typing import Any

from remediation.engine.outcomes.inquiry_outcomes import left_open_note
from remediation.engine.step_rules import blocking_failures, reason_by_outcome
from remediation.models import (
    ActionExecution,
    BucketRun,
    BucketVersion,
    Cause,
    Transition,
    TransitionBatch,
)
from remediation.models.inserts import insert
from remediation.models.trace_tags import of_later_execution

Status = ActionExecution.Status


def advance(
    run: BucketRun,
    last: ActionExecution,
    *,
    attempts: Sequence[ActionExecution],
    cause: Cause,
    batch: TransitionBatch,
) -> list[ActionExecution]:
    """Advance ``run`` after ``last`` ended or became unknown; return the new pending executions.

    ``attempts``: the run's executions with their current statuses, see ``read_attempts``.
    """
    created: list[ActionExecution] = []
    if last.status == Status.UNKNOWN:
        run.finish(
            BucketRun.Status.UNKNOWN,
            cause=cause,
            batch=batch,
            reason=f"the outcome of {last.name} is unknown: {last.error_message}",
        )
    elif run.stop:
        end_stopped(run, cause=cause, batch=batch, attempts=attempts)
    elif last.st2_action_execution_status == "canceled" and last.status == Status.SKIPPED:
        run.finish(
            BucketRun.Status.CANCELED,
            cause=cause,
            batch=batch,
            reason=f"{last.name} was canceled in StackStorm",
        )
    elif _may_retry(run, last):
        created = _retry(run, last, attempts=attempts, cause=cause, batch=batch)
    else:
        created = _start_next_step(run, last, attempts=attempts, cause=cause, batch=batch)
    return created


def end_stopped(
    run: BucketRun,
    *,
    cause: Cause,
    batch: TransitionBatch | None = None,
    attempts: Sequence[ActionExecution] | None = None,
) -> None:
    """Finish a stopped run if none of its executions is in flight.

    It ends as canceled, or as timeout at the bucket's time limit, with the reason of the stop. If
    ``stop`` skipped no step or attempt, the run ends with the result of its steps instead.
    """
    if run.executions.filter(parent=None).exclude(status__in=ActionExecution.FINAL).exists():
        return
    if attempts is None:
        attempts = read_attempts([run.pk])[run.pk]
    ended = last_attempts(attempts)
    if run.stop == BucketRun.Stop.STOP and _is_complete(run, ended):
        status, reason = _result(run, ended)
        run.finish(status, cause=cause, reason=reason, batch=batch)
        return
    reason = _stop_reason(run)
    # Only the reason distinguishes a cancel at the time limit from an operator's or a resolve's.
    is_overdue = reason == time_limit_reason(run.plan)
    status = BucketRun.Status.TIMEOUT if is_overdue else BucketRun.Status.CANCELED
    if still_open := [inquiry["id"] for row in ended for inquiry in row.inquiries]:
        reason = f"{reason}; {left_open_note(still_open)}"
    run.finish(status, cause=cause, reason=reason, batch=batch)


def _stop_reason(run: BucketRun) -> str:
    """Return why the run was stopped. ``run.reason`` may be newer, if the run was unknown since."""
    moves = Transition.objects.filter(subject_type=BucketRun.SUBJECT_TYPE, subject_id=run.pk)
    stops = [move.reason for move in moves.order_by("pk") if move.data.get("stop")]
    return stops[-1] if stops else run.reason


def _is_complete(run: BucketRun, ended: list[ActionExecution]) -> bool:
    """Return whether the plan's last step has run and no attempt of it is left."""
    last = ended[-1] if ended else None
    return (
        last is not None
        and len(ended) == len(run.plan.steps)
        and last.status != Status.SKIPPED
        and not _may_retry(run, last)
    )


def time_limit_reason(plan: BucketVersion) -> str:
    """Return the reason of a run that is canceled at its bucket's time limit."""
    return f"not ended within {plan.timeout_seconds} s (timeout_seconds of the bucket)"


def _may_retry(run: BucketRun, last: ActionExecution) -> bool:
    step = run.plan.step(last.step_order)
    # A canceled command may still run, so no attempt may start beside it. An inquiry that
    # could not be canceled ("pending") is still open.
    was_canceled = last.st2_action_execution_status in ("canceling", "canceled", "pending")
    is_failed = last.status in ActionExecution.FAILED and not was_canceled
    return is_failed and last.attempt < step["max_attempts"]


def _retry(
    run: BucketRun,
    last: ActionExecution,
    *,
    attempts: Sequence[ActionExecution],
    cause: Cause,
    batch: TransitionBatch,
) -> list[ActionExecution]:
    step = run.plan.step(last.step_order)
    # Jitter spreads the retries of a storm.
    jitter = random.uniform(0.8, 1.0)  # noqa: S311 - no secret
    at = cause.at + retry_delay(step, last.attempt + 1) * jitter
    number = last.attempt + 1
    attempt = ActionExecution.of_step(
        run,
        step,
        at=at,
        priority=last.priority,
        attempt=number,
        trace_tag=_trace_tag(attempts, step, attempt=number),
    )
    insert([attempt])
    reason = f"attempt {attempt.attempt} of {step['max_attempts']}"
    attempt.record(cause=cause, reason=reason, batch=batch)
    return [attempt]


def retry_delay(step: dict[str, Any], attempt: int) -> datetime.timedelta:
    """Return the longest delay before an attempt: 0 for the first, then doubling."""
    if attempt == 1:
        return datetime.timedelta(0)
    return datetime.timedelta(seconds=step["retry_delay_seconds"] * 2 ** (attempt - 2) * 1.25)


def _start_next_step(
    run: BucketRun,
    last: ActionExecution,
    *,
    attempts: Sequence[ActionExecution],
    cause: Cause,
    batch: TransitionBatch,
) -> list[ActionExecution]:
    """Create the row of the next step that ``run_when`` allows, or finish the run.

    Steps before it become skipped rows with the reason. The worker that launches the step
    evaluates its condition: no template is rendered while the run's row is locked.
    """
    ended = last_attempts(attempts)
    for step in run.plan.steps:
        if step["step_order"] <= last.step_order:
            continue
        execution = ActionExecution.of_step(
            run,
            step,
            at=cause.at,
            priority=last.priority,
            trace_tag=_trace_tag(attempts, step, attempt=1),
        )
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


def _trace_tag(attempts: Sequence[ActionExecution], step: dict[str, Any], *, attempt: int) -> str:
    """Return the tag of a later execution; '' if the run's first one has none (made by SQL)."""
    first = attempts[0].trace_tag
    if not first:
        return ""
    return of_later_execution(first, step_order=step["step_order"], attempt=attempt)


def read_attempts(run_ids: Collection[int]) -> dict[int, list[ActionExecution]]:
    """Return the executions of each run, without workflow tasks, in one query."""
    rows = ActionExecution.objects.filter(run__in=run_ids, parent=None)
    attempts: dict[int, list[ActionExecution]] = {pk: [] for pk in run_ids}
    for row in rows.defer("parameters", "st2_result").order_by("run_id", "step_order", "attempt"):
        attempts[row.run_id].append(row)
    return attempts


def last_attempts(attempts: Iterable[ActionExecution]) -> list[ActionExecution]:
    """Return the last attempt of every step so far, in step order."""
    return list({row.step_order: row for row in attempts}.values())


def _result(run: BucketRun, ended: list[ActionExecution]) -> tuple[BucketRun.Status, str]:
    """Return the final status and reason of a run whose last step has ended."""
    failed = blocking_failures(run.plan.steps, ended)
    if failed:
        timed_out = all(row.status == Status.TIMEOUT for row in failed)
        status = BucketRun.Status.TIMEOUT if timed_out else BucketRun.Status.FAILURE
        return status, f"{failed[0].name}: {failed[0].error_message}"
    if all(row.status == Status.SKIPPED for row in ended):
        return BucketRun.Status.SKIPPED, "every step was skipped"
    if run.status == BucketRun.Status.PENDING:
        # No step was started: those not skipped waited too long, and their on_failure is continue.
        return BucketRun.Status.TIMEOUT, "no step was started in time"
    return BucketRun.Status.SUCCESS, ""
