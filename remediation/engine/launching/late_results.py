"""Record what a worker learned or did after its lease, because it was stopped in between.

A stopped process (SIGSTOP, a paused virtual machine, swap) does not know that time passed, and
others have taken its row over by then. What it brings back stays on the row, with a transition.
"""

from __future__ import annotations

import logging
from functools import partial

from django.db import transaction

from remediation import queue
from remediation.engine.launching import started_executions
from remediation.engine.outcomes import execution_ids, settle
from remediation.engine.outcomes.outcome import Outcome
from remediation.engine.retries import retry_on_conflict
from remediation.models import ActionExecution, Cause, IllegalTransitionError, Transition
from remediation.models.statements import compare_and_set
from remediation.stackstorm import Execution, StackStormClient, StackStormError

logger = logging.getLogger(__name__)

Status = ActionExecution.Status


def record_launch(
    execution: ActionExecution, remote: Execution, *, client: StackStormClient
) -> None:
    """Record that StackStorm has an execution although its row has moved on.

    It becomes the row's execution if the row has none. Otherwise it is kept beside that one and
    canceled.
    """
    is_surplus = retry_on_conflict(
        partial(_keep, execution.pk, remote, cause=Cause()),
        description=f"The late answer for {execution}",
    )
    if not is_surplus:
        return
    try:
        client.cancel(remote.id)
    except StackStormError as error:
        logger.warning("The surplus execution of %s was not canceled: %s", execution, error)


def _keep(pk: int, remote: Execution, *, cause: Cause) -> bool:
    """Record it; return whether another execution counts for the row."""
    with transaction.atomic():
        row = ActionExecution.objects.select_for_update().get(pk=pk)
        if remote.id in (row.st2_execution_id, *row.st2_ghost_ids):
            return False
        if execution_ids.owners([remote.id]):
            logger.warning("%s is another row's, not one of %s", remote.id, row)
            return False
        if row.st2_execution_id is None and row.status in (Status.PENDING, Status.LAUNCHING):
            reason = "StackStorm's answer came after the lease of the worker that launched it"
            started_executions.record(row, remote, cause=cause, poll_at=cause.at, reason=reason)
            queue.enqueue(queue.TICK)
            return False
        if row.st2_execution_id is None and row.status == Status.UNKNOWN:
            _ask_for(row, remote, cause=cause)
            return False
        _keep_surplus(row, remote, cause=cause)
        return True


def _ask_for(row: ActionExecution, remote: Execution, *, cause: Cause) -> None:
    """Have the poll ask for the execution of a row that rests as unknown."""
    reason = f"StackStorm's answer came late: it has the execution as {remote.id}"
    compare_and_set(
        row,
        expected={"status": row.status, "st2_execution_id": None},
        st2_execution_id=remote.id,
        st2_liveaction_id=remote.liveaction_id or None,
        st2_action_execution_status=remote.status[:50],
        st2_web_url=remote.web_url,
        error_message=reason,
        due_at=cause.at,
    )
    _write(row, reason, cause=cause, data={"st2_execution_id": remote.id})
    queue.enqueue(queue.TICK)


def _keep_surplus(row: ActionExecution, remote: Execution, *, cause: Cause) -> None:
    ghosts = [*row.st2_ghost_ids, remote.id]
    compare_and_set(row, expected={"status": row.status}, st2_ghost_ids=ghosts)
    reason = (
        "a worker that was stopped for longer than its lease started it in StackStorm as well:"
        f" {remote.id} is canceled, but its command may have run"
    )
    counting = row.st2_execution_id or ""
    _write(row, reason, cause=cause, data={"st2_execution_id": counting, "canceled": [remote.id]})


def release_unsent(execution: ActionExecution) -> None:
    """Give back what was not sent, since its worker was stopped for longer than its lease.

    If another worker looks it up already, the look-up goes on only for what was sent earlier.
    """
    cause = Cause()
    reason = "not sent: its worker was stopped for longer than its lease"
    sent_before = execution.unanswered_launches
    row = ActionExecution.objects.get(pk=execution.pk)
    is_taken_over = row.lookup_until is not None or row.unanswered_launches != sent_before
    if is_taken_over and sent_before:
        ActionExecution.objects.filter(
            pk=row.pk,
            status=Status.LAUNCHING,
            started_at=execution.started_at,
            unanswered_launches=sent_before + 1,
        ).update(unanswered_launches=sent_before)
        return
    try:
        execution.release(
            cause=cause, reason=reason, due_at=cause.at, unanswered_launches=sent_before
        )
    except IllegalTransitionError as error:
        logger.info("Taken over by another worker: %s", error)
        if row.status == Status.UNKNOWN and row.started_at == execution.started_at:
            _note(execution.pk, f"it never began: {reason}", cause=cause)
        return
    is_remote = execution.executed_via_stackstorm
    queue.enqueue(queue.LAUNCH_DUE if is_remote else queue.RUN_LOCAL)


def record_outcome(execution: ActionExecution, outcome: Outcome) -> None:
    """Record how a local action ended whose row has moved on.

    It settles a row that rests as unknown because its worker seemed dead. Beside the outcome of
    another worker it is only kept.
    """
    cause = Cause()
    row = ActionExecution.objects.get(pk=execution.pk)
    is_awaited = row.status == Status.UNKNOWN and row.started_at == execution.started_at
    if is_awaited and settle.settle(row, outcome, cause=cause):
        return
    is_same_claim = row.started_at == execution.started_at
    how = "its worker came back" if is_same_claim else "another worker carried it out as well"
    said = f"{outcome.status}: {outcome.reason}" if outcome.reason else str(outcome.status)
    _note(execution.pk, f"{how} after the row had moved on: {said}", cause=cause)


def _note(pk: int, reason: str, *, cause: Cause) -> None:
    """Record something about a row that changes nothing else of it."""
    with transaction.atomic():
        row = ActionExecution.objects.select_for_update().get(pk=pk)
        _write(row, reason, cause=cause, data={})


def _write(row: ActionExecution, reason: str, *, cause: Cause, data: dict[str, object]) -> None:
    Transition.write(
        Transition.of(
            row,
            cause=cause,
            from_status=row.status,
            to_status=row.status,
            reason=reason,
            data=data,
        )
    )
