"""Record the outcome of executions and advance their runs, in one transaction.

Polls, stream events, workers and operators all settle here. The first outcome wins: a final status
never changes.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial

from django.db import transaction
from django.db.models import prefetch_related_objects

from remediation.engine.outcomes import poll_interval
from remediation.engine.outcomes.advance import advance, read_attempts
from remediation.engine.outcomes.outcome import Outcome
from remediation.engine.outcomes.workflow_tasks import write_task
from remediation.engine.row_by_row import (
    isolate,
    postpone,
    reason_for,
    reload_status,
    run_batch,
)
from remediation.engine.wake_ups import wake
from remediation.models import (
    ActionExecution,
    BucketRun,
    Cause,
    IllegalTransitionError,
    TransitionBatch,
)
from remediation.stackstorm import Execution

logger = logging.getLogger(__name__)

Status = ActionExecution.Status


@dataclass(frozen=True, slots=True)
class Settlement:
    """An execution and its outcome. ``tasks``: of a workflow bucket, to be stored as rows."""

    execution: ActionExecution
    outcome: Outcome
    tasks: Sequence[Execution] = ()


def settle(
    execution: ActionExecution,
    outcome: Outcome,
    *,
    cause: Cause,
    tasks: Sequence[Execution] = (),
) -> bool:
    """Settle one execution; return False if it had already ended."""
    return settle_all([Settlement(execution, outcome, tasks)], cause=cause) == 1


def settle_all(settlements: Sequence[Settlement], *, cause: Cause) -> int:
    """Record outcomes and advance the runs in one transaction; return how many executions ended.

    If an outcome cannot be stored, it is stored without its result. If that fails too, the
    execution becomes unknown with the error as reason.
    """
    return sum(
        run_batch(
            settlements,
            partial(_settle_in_one_transaction, cause=cause),
            description=f"Settling {len(settlements)} executions",
            on_failure=partial(_settle_without_result, cause=cause),
            before_retry=_reload,
        )
    )


def _reload(settlement: Settlement) -> None:
    reload_status(settlement.execution)


def _settle_without_result(settlement: Settlement, error: Exception, *, cause: Cause) -> None:
    """Settle an execution with the error in place of the result that could not be stored."""
    outcome, reason = settlement.outcome, reason_for(error)
    values = outcome.values | ({"st2_result": reason} if "st2_result" in outcome.values else {})
    smaller = Outcome(outcome.status, outcome.reason or reason, values)
    with isolate(
        settlement, description="Settling without the result", on_failure=_settle_unknown(cause)
    ):
        _settle_in_one_transaction([Settlement(settlement.execution, smaller)], cause=cause)


def _settle_unknown(cause: Cause) -> Callable[[Settlement, Exception], None]:
    """Return a callback that settles an execution as unknown, with the error as reason."""

    def failed(settlement: Settlement, error: Exception) -> None:
        row = settlement.execution
        with isolate(row, description="Settling as unknown", on_failure=postpone):
            _reload(settlement)
            unknown = Settlement(row, Outcome.unknown(reason_for(error)))
            if not _settle_in_one_transaction([unknown], cause=cause):
                # A pending row cannot become unknown, so it stays pending with the error.
                postpone(row, error)

    return failed


def _settle_in_one_transaction(settlements: Sequence[Settlement], *, cause: Cause) -> int:
    with transaction.atomic(), TransitionBatch() as batch:
        runs = _lock_runs(settlement.execution.run_id for settlement in settlements)
        attempts = read_attempts(list(runs))
        created: list[ActionExecution] = []
        ended = 0
        for settlement in settlements:
            if _finish_execution(settlement, cause=cause, batch=batch):
                ended += 1
                last = settlement.execution
                # The row that was read has its status from before ``_finish_execution``.
                current = [last if row.pk == last.pk else row for row in attempts[last.run_id]]
                attempts[last.run_id] = current
                created += _advance_run(
                    runs[last.run_id], last, attempts=current, cause=cause, batch=batch
                )
        wake(created)
    return ended


def _lock_runs(run_ids: Iterable[int]) -> dict[int, BucketRun]:
    """Lock these runs in the order of their ids; load their plans."""
    rows = BucketRun.objects.filter(pk__in=set(run_ids)).order_by("pk").select_for_update()
    runs = {run.pk: run for run in rows}
    prefetch_related_objects(list(runs.values()), "plan")
    return runs


def _finish_execution(settlement: Settlement, *, cause: Cause, batch: TransitionBatch) -> bool:
    execution, outcome = settlement.execution, settlement.outcome
    values = dict(outcome.values)
    if outcome.status in ActionExecution.FAILED and execution.st2_execution_id:
        values["reruns_due_at"] = cause.at + poll_interval.FIRST_RERUN_CHECK
    try:
        execution.finish(outcome.status, cause=cause, reason=outcome.reason, batch=batch, **values)
    except IllegalTransitionError as error:
        # The transaction can continue: ``finish`` raises after its inner atomic block, which
        # otherwise (savepoint=False) would mark the transaction for rollback.
        logger.info("Not settled again: %s", error)
        return False
    for task in settlement.tasks:
        subtasks = [one for one in settlement.tasks if one.parent_id == task.id]
        write_task(execution, task, subtasks, cause=cause, batch=batch)
    return True


def _advance_run(
    run: BucketRun,
    last: ActionExecution,
    *,
    attempts: Sequence[ActionExecution],
    cause: Cause,
    batch: TransitionBatch,
) -> list[ActionExecution]:
    if run.status == BucketRun.Status.UNKNOWN:
        run.mark_running(cause=cause, reason="the outcome is known now", batch=batch)
    elif run.status == BucketRun.Status.PENDING and last.started_at:
        run.mark_running(cause=cause, batch=batch)
    return advance(run, last, attempts=attempts, cause=cause, batch=batch)
