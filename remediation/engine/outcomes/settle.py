"""Take an execution's outcome, from whichever tells it first, and move its run on.

Poll, callback and worker all end in ``settle``: a final status never changes, and the outcome and
what follows from it are one transaction.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial

from django.db import transaction
from django.db.models import prefetch_related_objects

from remediation.engine.outcomes import poll_interval
from remediation.engine.outcomes.advance import advance, attempts
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
class Ending:
    """How an execution ended; ``tasks``: of a workflow, kept as rows of their own."""

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
    """End an execution and move its run on; return False when it had ended before."""
    return settle_all([Ending(execution, outcome, tasks)], cause=cause) == 1


def settle_all(endings: Sequence[Ending], *, cause: Cause) -> int:
    """End executions and move their runs on, in one transaction; return how many it ended.

    An outcome that cannot be stored so is stored without its result or, if that fails too, as
    unknown with the reason.
    """
    return sum(
        run_batch(
            endings,
            partial(_settle_together, cause=cause),
            description=f"Settling {len(endings)} executions",
            on_failure=partial(_settle_without_result, cause=cause),
            before_retry=_reload,
        )
    )


def _reload(ending: Ending) -> None:
    reload_status(ending.execution)


def _settle_without_result(ending: Ending, error: Exception, *, cause: Cause) -> None:
    """Settle an execution whose outcome could not be stored, with a note in place of the result."""
    outcome, reason = ending.outcome, reason_for(error)
    values = outcome.values | ({"st2_result": reason} if "st2_result" in outcome.values else {})
    smaller = Outcome(outcome.status, outcome.reason or reason, values)
    with isolate(
        ending, description="Settling without the result", on_failure=_settle_unknown(cause)
    ):
        _settle_together([Ending(ending.execution, smaller)], cause=cause)


def _settle_unknown(cause: Cause) -> Callable[[Ending, Exception], None]:
    """Return how to let an execution rest as unknown whose outcome cannot be stored at all."""

    def failed(ending: Ending, error: Exception) -> None:
        row = ending.execution
        with isolate(row, description="Settling as unknown", on_failure=postpone):
            _reload(ending)
            if not _settle_together([Ending(row, Outcome.unknown(reason_for(error)))], cause=cause):
                # A pending row cannot be unknown.
                postpone(row, error)

    return failed


def _settle_together(endings: Sequence[Ending], *, cause: Cause) -> int:
    with transaction.atomic(), TransitionBatch() as batch:
        runs = _locked(ending.execution.run_id for ending in endings)
        begun: list[ActionExecution] = []
        ended = 0
        for ending in endings:
            if _finish(ending, cause=cause, batch=batch):
                ended += 1
                run = runs[ending.execution.run_id]
                begun += _move_on(run, ending.execution, cause=cause, batch=batch)
        wake(begun)
    return ended


def _locked(run_ids: Iterable[int]) -> dict[int, BucketRun]:
    """Return the runs of these ids, locked in that order, with their plans and executions."""
    rows = BucketRun.objects.filter(pk__in=set(run_ids)).order_by("pk").select_for_update()
    runs = {run.pk: run for run in rows}
    prefetch_related_objects(list(runs.values()), "plan", attempts())
    return runs


def _finish(ending: Ending, *, cause: Cause, batch: TransitionBatch) -> bool:
    execution, outcome = ending.execution, ending.outcome
    values = dict(outcome.values)
    if outcome.status in ActionExecution.FAILED and execution.st2_execution_id:
        values["reruns_due_at"] = cause.at + poll_interval.FIRST_LOOK
    try:
        execution.finish(outcome.status, cause=cause, reason=outcome.reason, batch=batch, **values)
    except IllegalTransitionError as error:
        logger.info("Settled before: %s", error)
        return False
    for task in ending.tasks:
        inside = [one for one in ending.tasks if one.parent_id == task.id]
        write_task(execution, task, inside, cause=cause, batch=batch)
    return True


def _move_on(
    run: BucketRun, last: ActionExecution, *, cause: Cause, batch: TransitionBatch
) -> list[ActionExecution]:
    if run.status == BucketRun.Status.UNKNOWN:
        run.mark_running(cause=cause, reason="the outcome became known", batch=batch)
    elif run.status == BucketRun.Status.PENDING and last.started_at:
        run.mark_running(cause=cause, batch=batch)
    return advance(run, last, cause=cause, batch=batch)
