"""Record results that a worker brings back after its lease has ended.

A suspended process (SIGSTOP, a paused virtual machine, swapping) does not notice that time has
passed, and another worker may have taken over its row. The late result is kept on the row, with a
transition.
"""

from __future__ import annotations

import logging
from functools import partial

from django.db import transaction

from remediation import queue
from remediation.engine.launching import started_executions
from remediation.engine.outcomes import execution_ids, settle
from remediation.engine.outcomes.outcome import Outcome
from remediation.engine.transaction_retries import retry_on_conflict
from remediation.models import ActionExecution, Cause, IllegalTransitionError, Transition
from remediation.models.raw_sql import compare_and_set
from remediation.stackstorm import Execution, StackStormClient, StackStormError

logger = logging.getLogger(__name__)

Status = ActionExecution.Status


def record_launch(
    execution: ActionExecution, remote: Execution, *, client: StackStormClient
) -> None:
    """Record that StackStorm started an execution although its row has changed.

    A row without an execution gets this one. Otherwise it is a duplicate: its id is stored beside
    the first, and it is canceled.
    """
    is_duplicate = retry_on_conflict(
        partial(_store_launch, execution.pk, remote, cause=Cause()),
        description=f"Recording the late response for {execution}",
    )
    if not is_duplicate:
        return
    try:
        client.cancel(remote.id)
    except StackStormError as error:
        logger.warning("The duplicate execution of %s was not canceled: %s", execution, error)


def _store_launch(pk: int, remote: Execution, *, cause: Cause) -> bool:
    """Store the StackStorm execution on the row; return whether it is a duplicate."""
    with transaction.atomic():
        row = ActionExecution.objects.select_for_update().get(pk=pk)
        if remote.id in (row.st2_execution_id, *row.st2_ghost_ids):
            return False
        if execution_ids.owners([remote.id]):
            logger.warning("%s belongs to another row than %s", remote.id, row)
            return False
        if row.st2_execution_id is None and row.status in (Status.PENDING, Status.LAUNCHING):
            reason = "StackStorm's response came after the lease of the worker that launched it"
            started_executions.record(row, remote, cause=cause, poll_at=cause.at, reason=reason)
            queue.enqueue(queue.TICK)
            return False
        if row.st2_execution_id is None and row.status == Status.UNKNOWN:
            _poll_unknown(row, remote, cause=cause)
            return False
        _store_duplicate(row, remote, cause=cause)
        return True


def _poll_unknown(row: ActionExecution, remote: Execution, *, cause: Cause) -> None:
    """Store the id on an unknown row and make its poll due now."""
    reason = f"StackStorm's response came late: it started execution {remote.id}"
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
    _write_note(row, reason, cause=cause, data={"st2_execution_id": remote.id})
    queue.enqueue(queue.TICK)


def _store_duplicate(row: ActionExecution, remote: Execution, *, cause: Cause) -> None:
    ghosts = [*row.st2_ghost_ids, remote.id]
    compare_and_set(row, expected={"status": row.status}, st2_ghost_ids=ghosts)
    reason = (
        "a worker that was suspended for longer than its lease started a duplicate in StackStorm:"
        f" {remote.id} is canceled, but its command may have run"
    )
    first = row.st2_execution_id or ""
    _write_note(row, reason, cause=cause, data={"st2_execution_id": first, "canceled": [remote.id]})


def release_unsent(execution: ActionExecution) -> None:
    """Release a row that was not sent because its worker was suspended longer than its lease.

    If another worker looks it up already, the look-up continues only for earlier launches.
    """
    cause = Cause()
    reason = "not sent: its worker was suspended for longer than its lease"
    sent_before = execution.unanswered_launches
    row = ActionExecution.objects.get(pk=execution.pk)
    is_taken_over = row.lookup_until is not None or row.unanswered_launches != sent_before
    if is_taken_over and sent_before:
        # recover() has counted this launch as unanswered, but it was never sent.
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
            _add_note(execution.pk, f"it never began: {reason}", cause=cause)
        return
    is_remote = execution.executed_via_stackstorm
    queue.enqueue(queue.LAUNCH_DUE if is_remote else queue.RUN_LOCAL)


def record_outcome(execution: ActionExecution, outcome: Outcome) -> None:
    """Record the late outcome of a local action.

    It settles a row that became unknown because its worker seemed dead. If another worker has
    settled the row, the outcome becomes a transition only.
    """
    cause = Cause()
    row = ActionExecution.objects.get(pk=execution.pk)
    is_awaited = row.status == Status.UNKNOWN and row.started_at == execution.started_at
    if is_awaited and settle.settle(row, outcome, cause=cause):
        return
    is_same_claim = row.started_at == execution.started_at
    source = "its worker came back" if is_same_claim else "another worker executed it too"
    result = f"{outcome.status}: {outcome.reason}" if outcome.reason else str(outcome.status)
    _add_note(execution.pk, f"{source} after the row had changed: {result}", cause=cause)


def _add_note(pk: int, reason: str, *, cause: Cause) -> None:
    """Write a transition that does not change the status."""
    with transaction.atomic():
        row = ActionExecution.objects.select_for_update().get(pk=pk)
        _write_note(row, reason, cause=cause, data={})


def _write_note(
    row: ActionExecution, reason: str, *, cause: Cause, data: dict[str, object]
) -> None:
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
