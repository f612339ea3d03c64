"""Take an execution's outcome, from whichever tells it first, and move its run on.

Poll, callback and worker all end in ``settle``: a final status never changes, and the outcome and
what follows from it are one transaction.
"""

from __future__ import annotations

import datetime
import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from django.db import transaction
from django.db.models import prefetch_related_objects

from remediation import queue
from remediation.engine import pace
from remediation.engine.advance import advance, attempts
from remediation.engine.inquiries import end_of_task
from remediation.engine.parameters import known_secrets, masked
from remediation.engine.row_by_row import (
    contained,
    read_status_again,
    reason_for,
    set_aside,
    together,
)
from remediation.json_values import fit
from remediation.models import (
    ActionExecution,
    BucketRun,
    Cause,
    IllegalTransitionError,
    Transition,
)
from remediation.redaction import mask_text
from remediation.stackstorm import Execution, ExecutionResult, failure_text

logger = logging.getLogger(__name__)

Status = ActionExecution.Status

# The seed's map, completed: what StackStorm's final words mean here. No other word moves a row.
OUTCOMES = {
    "succeeded": Status.SUCCESS,
    "failed": Status.FAILURE,
    "abandoned": Status.FAILURE,
    "timeout": Status.TIMEOUT,
    "canceled": Status.SKIPPED,
}
CANCELED_REASON = (
    "canceled in StackStorm; the command that it had started may still have run to its end"
)


@dataclass(frozen=True, slots=True)
class Outcome:
    """How an execution ended. ``reason``: for the operator; ``values``: further columns."""

    status: ActionExecution.Status
    reason: str = ""
    values: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def success(cls, result: Any) -> Outcome:
        """Return the outcome of a local action that did what it should."""
        return cls(Status.SUCCESS, values={"st2_result": fit(masked(result))})

    @classmethod
    def failure(cls, reason: str, result: Any = None) -> Outcome:
        """Return a failure that a person has to read about."""
        values = {} if result is None else {"st2_result": fit(masked(result))}
        return cls(Status.FAILURE, reason, values)

    @classmethod
    def unknown(cls, reason: str) -> Outcome:
        """Return that nobody knows; the run waits for a person."""
        return cls(Status.UNKNOWN, reason)

    @classmethod
    def of(cls, remote: Execution | ExecutionResult, *, tasks: Sequence[Execution] = ()) -> Outcome:
        """Return the outcome of a StackStorm execution that is final, with its ``tasks``."""
        status = OUTCOMES[remote.status]
        reason = ""
        if status == Status.SKIPPED:
            reason = CANCELED_REASON
        elif status != Status.SUCCESS:
            reason = failure_reason(remote, tasks)
        return cls(status, reason, stackstorm_values(remote))


def stackstorm_values(remote: Execution | ExecutionResult) -> dict[str, Any]:
    """Return the columns that hold what StackStorm says of an execution, without its id."""
    values = {
        "st2_action_execution_status": remote.status[:50],
        "st2_result": fit(masked(remote.result), source=complete_in(remote)),
    }
    if isinstance(remote, Execution):
        values |= {
            "st2_liveaction_id": remote.liveaction_id or None,
            "st2_web_url": remote.web_url,
        }
    return values


def complete_in(remote: Execution | ExecutionResult) -> str:
    """Return where the complete result of an execution can be read."""
    return f"StackStorm has it complete as execution {remote.id}"


def failure_reason(remote: Execution | ExecutionResult, tasks: Sequence[Execution] = ()) -> str:
    """Return why an execution of StackStorm failed, secrets masked, in at most 2,000 characters.

    ``tasks``: of a workflow; they are read where its own result gives no reason.
    """
    # Masked before it is cut: half a secret would be known no more.
    text = failure_text(remote.status, masked(remote.result))
    if not text and tasks:
        shown = [replace(task, result=masked(task.result)) for task in tasks]
        text = failure_text(remote.status, masked(remote.result), shown)
    return mask_text(text or f"StackStorm: {remote.status}", known_secrets())


class ForeignIdError(Exception):
    """StackStorm named an execution that another row of ours has; the text says which."""

    def __init__(self, st2_execution_id: str, owner: int) -> None:
        super().__init__(
            f"StackStorm named its execution {st2_execution_id}, which belongs to #{owner} here"
        )


Launch = tuple[ActionExecution, Execution]
LeftLaunch = tuple[ActionExecution, Execution, ForeignIdError | None]


def started_all(launched: Sequence[Launch], *, cause: Cause) -> list[LeftLaunch]:
    """Record what StackStorm took, in one transaction.

    An execution that cannot be recorded so rests as unknown, with StackStorm's id in its reason.
    Returns those that are left as they were: since StackStorm named the id of another row, or,
    with None, since the row has moved on.
    """
    batches = together(
        launched,
        partial(_start_together, cause=cause),
        what=f"Recording {len(launched)} launches",
        failed=partial(_start_unknown, cause=cause),
        afresh=_read_launch_again,
    )
    return [left for batch in batches for left in batch]


def _read_launch_again(launch: Launch) -> None:
    execution, _ = launch
    # The time of our claim, which tells it from a later one of another worker.
    claimed_at = execution.started_at
    execution.refresh_from_db()
    execution.started_at = claimed_at


def _start_unknown(launch: Launch, error: Exception, *, cause: Cause) -> None:
    execution, remote = launch
    reason = f"StackStorm started it as execution {remote.id[:100]}. {reason_for(error)}"
    settle(execution, Outcome.unknown(reason), cause=cause)


def _start_together(launched: Sequence[Launch], *, cause: Cause) -> list[LeftLaunch]:
    poll_at = cause.at + pace.until_next(datetime.timedelta(0), is_streamed=pace.is_streamed())
    left: list[LeftLaunch] = []
    with transaction.atomic(), Transition.together():
        known = owners(remote.id for _, remote in launched)
        for execution, remote in launched:
            # Two answers of one batch may name the same id, too.
            owner = known.setdefault(remote.id, execution.pk)
            if owner != execution.pk:
                left.append((execution, remote, ForeignIdError(remote.id, owner)))
                continue
            try:
                _record_start(execution, remote, cause=cause, poll_at=poll_at)
            except IllegalTransitionError as error:
                logger.warning("The answer came after the row had moved on: %s", error)
                left.append((execution, remote, None))
        queue.enqueue(queue.TICK, at=poll_at)
    return left


def owners(st2_execution_ids: Iterable[str]) -> dict[str, int]:
    """Return the ids of the rows that have these ids of StackStorm, by StackStorm's."""
    rows = ActionExecution.objects.filter(st2_execution_id__in=set(st2_execution_ids))
    return {st2_id or "": pk for st2_id, pk in rows.values_list("st2_execution_id", "pk")}


def started(
    execution: ActionExecution,
    remote: Execution,
    *,
    cause: Cause,
    poll_at: datetime.datetime,
    reason: str = "",
) -> None:
    """Record that StackStorm has the execution; the poll asks for its outcome from then on.

    Raises ForeignIdError when another row has that id.
    """
    with transaction.atomic():
        owner = owners([remote.id]).get(remote.id, execution.pk)
        if owner != execution.pk:
            raise ForeignIdError(remote.id, owner)
        _record_start(execution, remote, cause=cause, poll_at=poll_at, reason=reason)


def _record_start(
    execution: ActionExecution,
    remote: Execution,
    *,
    cause: Cause,
    poll_at: datetime.datetime,
    reason: str = "",
) -> None:
    execution.mark_running(
        cause=cause,
        reason=reason,
        due_at=poll_at,
        st2_execution_id=remote.id,
        st2_liveaction_id=remote.liveaction_id or None,
        st2_action_execution_status=remote.status[:50],
        st2_web_url=remote.web_url,
        running_at=cause.at if remote.status == "running" else None,
    )


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
        together(
            endings,
            partial(_settle_together, cause=cause),
            what=f"Settling {len(endings)} executions",
            failed=partial(_settle_without_result, cause=cause),
            afresh=_read_again,
        )
    )


def _read_again(ending: Ending) -> None:
    read_status_again(ending.execution)


def _settle_without_result(ending: Ending, error: Exception, *, cause: Cause) -> None:
    """Settle an execution whose outcome could not be stored, with a note in place of the result."""
    outcome, reason = ending.outcome, reason_for(error)
    values = outcome.values | ({"st2_result": reason} if "st2_result" in outcome.values else {})
    smaller = Outcome(outcome.status, outcome.reason or reason, values)
    with contained(ending, what="Settling without the result", failed=_settle_unknown(cause)):
        _settle_together([Ending(ending.execution, smaller)], cause=cause)


def _settle_unknown(cause: Cause) -> Callable[[Ending, Exception], None]:
    """Return how to let an execution rest as unknown whose outcome cannot be stored at all."""

    def failed(ending: Ending, error: Exception) -> None:
        row = ending.execution
        with contained(row, what="Settling as unknown", failed=set_aside):
            _read_again(ending)
            if not _settle_together([Ending(row, Outcome.unknown(reason_for(error)))], cause=cause):
                # A pending row cannot be unknown.
                set_aside(row, error)

    return failed


def _settle_together(endings: Sequence[Ending], *, cause: Cause) -> int:
    with transaction.atomic(), Transition.together():
        runs = _locked(ending.execution.run_id for ending in endings)
        begun: list[ActionExecution] = []
        ended = 0
        for ending in endings:
            if _finish(ending, cause=cause):
                ended += 1
                run = runs[ending.execution.run_id]
                begun += _move_on(run, ending.execution, cause=cause)
        wake(begun)
    return ended


def _locked(run_ids: Iterable[int]) -> dict[int, BucketRun]:
    """Return the runs of these ids, locked in that order, with their plans and executions."""
    rows = BucketRun.objects.filter(pk__in=set(run_ids)).order_by("pk").select_for_update()
    runs = {run.pk: run for run in rows}
    prefetch_related_objects(list(runs.values()), "plan", attempts())
    return runs


def _finish(ending: Ending, *, cause: Cause) -> bool:
    execution, outcome = ending.execution, ending.outcome
    values = dict(outcome.values)
    if outcome.status in ActionExecution.FAILED and execution.st2_execution_id:
        values["reruns_due_at"] = cause.at + pace.FIRST_LOOK
    try:
        execution.finish(outcome.status, cause=cause, reason=outcome.reason, **values)
    except IllegalTransitionError as error:
        logger.info("Settled before: %s", error)
        return False
    for task in ending.tasks:
        inside = [one for one in ending.tasks if one.parent_id == task.id]
        _write_task(execution, task, inside, cause=cause)
    return True


def _move_on(run: BucketRun, last: ActionExecution, *, cause: Cause) -> list[ActionExecution]:
    if run.status == BucketRun.Status.UNKNOWN:
        run.mark_running(cause=cause, reason="the outcome became known")
    elif run.status == BucketRun.Status.PENDING and last.started_at:
        run.mark_running(cause=cause)
    return advance(run, last, cause=cause)


def wake(begun: Iterable[ActionExecution]) -> None:
    """Enqueue the jobs that carry out pending executions, one for each kind and due time."""
    for is_remote, due_at in {(row.executed_via_stackstorm, row.due_at) for row in begun}:
        queue.enqueue(queue.LAUNCH_DUE if is_remote else queue.RUN_LOCAL, at=due_at)


def _write_task(
    parent: ActionExecution, task: Execution, inside: Sequence[Execution], *, cause: Cause
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
    row.record(cause=cause, reason=f"task of execution {parent.pk}")
