"""Ask StackStorm how the running executions are: many in one request, the result once.

A callback is a hint that makes the poll due at once; what is recorded is what StackStorm answers.
"""

from __future__ import annotations

import datetime
import logging
from typing import Any

from django.conf import settings
from django.db.models import QuerySet
from django.utils import timezone

from remediation import queue
from remediation.engine.settle import OUTCOMES, Outcome, settle
from remediation.models import ActionExecution, Cause
from remediation.stackstorm import (
    MAX_IDS_PER_REQUEST,
    Execution,
    ExecutionState,
    StackStormClient,
    StackStormError,
    StackStormRejected,
)

logger = logging.getLogger(__name__)

CANCEL_GRACE = datetime.timedelta(seconds=60)  # for StackStorm to end what was cancelled
Status = ActionExecution.Status


def poll_due(*, client: StackStormClient) -> int:
    """Ask for every execution whose poll is due; return how many were asked for."""
    asked = 0
    while rows := list(_due()[:MAX_IDS_PER_REQUEST]):
        asked += len(rows)
        _put_off(rows)
        by_id = {row.st2_execution_id or "": row for row in rows}
        try:
            states = {state.id: state for state in client.executions(list(by_id))}
        except StackStormError as error:
            logger.warning("StackStorm does not tell how %s executions are: %s", len(rows), error)
            break
        for st2_id, row in by_id.items():
            _look_at(row, states.get(st2_id), client=client)
    return asked


def hint(*, st2_execution_id: str, trace_tag: str) -> str:
    """Make the poll of an execution due now, since somebody says that it has moved.

    Returns ``accepted``, ``unchanged`` (it is final here) or ``ignored`` (it is not ours).
    """
    row = _find(st2_execution_id, trace_tag)
    if row is None:
        return "ignored"
    if row.status in ActionExecution.FINAL:
        return "unchanged"
    waiting = ActionExecution.objects.filter(
        pk=row.pk, status__in=(Status.RUNNING, Status.UNKNOWN), st2_execution_id__isnull=False
    )
    if waiting.update(due_at=timezone.now()):
        queue.enqueue(queue.POLL_DUE)
    return "accepted"


def _find(st2_execution_id: str, trace_tag: str) -> ActionExecution | None:
    rows = ActionExecution.objects.filter(executed_via_stackstorm=True, parent=None)
    found = rows.filter(st2_execution_id=st2_execution_id).first() if st2_execution_id else None
    if found is None and trace_tag:
        found = rows.filter(trace_tag=trace_tag).first()
    return found


def _due() -> QuerySet[ActionExecution]:
    return (
        ActionExecution.objects.filter(
            # A late answer is the one way on for an unknown one; a hint makes it due.
            status__in=(Status.RUNNING, Status.UNKNOWN),
            st2_execution_id__isnull=False,
            parent=None,
            due_at__lte=timezone.now(),
        )
        .select_related("run__plan")
        .order_by("due_at")
    )


def _put_off(rows: list[ActionExecution]) -> None:
    # Before asking: should this worker die or StackStorm not answer, they are due again by then.
    running = [row.pk for row in rows if row.status == Status.RUNNING]
    resting = [row.pk for row in rows if row.status == Status.UNKNOWN]
    later = timezone.now() + datetime.timedelta(seconds=settings.POLL_INTERVAL)
    ActionExecution.objects.filter(pk__in=running, status=Status.RUNNING).update(due_at=later)
    ActionExecution.objects.filter(pk__in=resting, status=Status.UNKNOWN).update(due_at=None)


def _look_at(
    row: ActionExecution, state: ExecutionState | None, *, client: StackStormClient
) -> None:
    """Take what StackStorm says of one execution; a fault there leaves it for the next poll."""
    try:
        if state is None:
            _missing(row, client=client)
        elif state.status in OUTCOMES:
            _ended(row, client.execution(state.id), client=client)
        else:
            _goes_on(row, state, client=client)
    except StackStormError as error:
        logger.warning("Execution %s is asked for again: %s", row, error)


def _missing(row: ActionExecution, *, client: StackStormClient) -> None:
    try:
        remote = client.execution(row.st2_execution_id or "")
    except StackStormRejected as error:
        if error.status != 404 or row.status == Status.UNKNOWN:
            raise
        reason = f"StackStorm does not know the execution (any more): {error}"
        settle(row, Outcome.unknown(reason), cause=Cause())
        return
    if remote.status in OUTCOMES:
        _ended(row, remote, client=client)


def _ended(row: ActionExecution, remote: Execution, *, client: StackStormClient) -> None:
    tasks = client.children(remote.id) if row.step_order == 0 else []
    outcome = Outcome.of(remote)
    cause = Cause(actor="stackstorm")
    if remote.status == "canceled" and (deadline := _deadline(row)) and cause.at >= deadline:
        outcome = Outcome(Status.TIMEOUT, _deadline_text(row), outcome.values)
    settle(row, outcome, cause=cause, tasks=tasks)


def _goes_on(row: ActionExecution, state: ExecutionState, *, client: StackStormClient) -> None:
    """Keep StackStorm's word and look after the deadline."""
    at = timezone.now()
    changed: dict[str, Any] = {}
    if state.status != row.st2_action_execution_status:
        changed["st2_action_execution_status"] = state.status[:50]
    if state.status == "running" and row.running_at is None:
        changed["running_at"] = row.running_at = at
    if changed:
        ActionExecution.objects.filter(pk=row.pk, status=row.status).update(**changed)
    deadline = _deadline(row)
    if row.status != Status.RUNNING or deadline is None or at < deadline:
        return
    if at < deadline + CANCEL_GRACE:
        client.cancel(state.id)
    else:
        reason = f"{_deadline_text(row)}, and StackStorm still says {state.status}"
        settle(row, Outcome.unknown(reason), cause=Cause())


def _deadline(row: ActionExecution) -> datetime.datetime | None:
    """Return when the execution must have ended, by our clock; None before it runs."""
    if row.running_at is None:
        return None
    seconds = row.run.plan.step(row.step_order)["timeout_seconds"]
    return row.running_at + datetime.timedelta(seconds=seconds)


def _deadline_text(row: ActionExecution) -> str:
    seconds = row.run.plan.step(row.step_order)["timeout_seconds"]
    return f"not ended within {seconds} s (timeout_seconds) and canceled; the command may still run"
