"""Ask StackStorm how the running executions are: many in one request, the result once.

A callback is a hint that makes the poll due at once; what is recorded is what StackStorm answers.
"""

from __future__ import annotations

import datetime
import logging
import time
from typing import Any

from django.conf import settings
from django.db.models import Q, QuerySet
from django.utils import timezone

from remediation import queue
from remediation.engine.connection import STACKSTORM
from remediation.engine.settle import OUTCOMES, Outcome, settle
from remediation.engine.twins import follow_the_older
from remediation.models import ActionExecution, BucketRun, Cause, Heartbeat
from remediation.stackstorm import (
    MAX_IDS_PER_REQUEST,
    Execution,
    ExecutionState,
    StackStormClient,
    StackStormError,
    StackStormRejected,
)

logger = logging.getLogger(__name__)

BUDGET_SECONDS = 20.0  # after which a slow StackStorm makes room for what else is due
CANCEL_GRACE = datetime.timedelta(seconds=60)  # for StackStorm to end what was canceled
UNKNOWN_INTERVAL = datetime.timedelta(minutes=5)  # between two polls of what is unknown
ASKING = {"pending", "paused"}  # StackStorm's words while it waits for a person
Status = ActionExecution.Status


def poll_due(*, client: StackStormClient) -> int:
    """Ask for every execution whose poll is due; return how many were asked for."""
    asked = 0
    # What is put off is due again soon: one call asks for each once, and makes room for launches.
    at, until = timezone.now(), time.monotonic() + BUDGET_SECONDS
    while rows := list(_due(at=at)[:MAX_IDS_PER_REQUEST]):
        asked += len(rows)
        _put_off(rows)
        by_id = {row.st2_execution_id or "": row for row in rows}
        try:
            states = {state.id: state for state in client.executions(list(by_id))}
        except StackStormError as error:
            logger.warning("StackStorm does not tell how %s executions are: %s", len(rows), error)
            Heartbeat.tell(STACKSTORM, str(error), at=timezone.now())
            for row in rows:
                _give_up(row, f"StackStorm does not answer: {error}")
            break
        Heartbeat.tell(STACKSTORM, "", at=timezone.now())
        for st2_id, row in by_id.items():
            if time.monotonic() > until:
                return asked
            _look_at(row, states.get(st2_id), client=client)
    return asked


def hint(*, st2_execution_id: str, trace_tag: str) -> str:
    """Make the poll of an execution due now, since somebody says that it has moved.

    Returns ``accepted``, ``unchanged`` (it is final here) or ``ignored`` (it is not ours).
    """
    row = find(st2_execution_id, trace_tag)
    if row is None:
        return "ignored"
    if row.status in ActionExecution.FINAL:
        return "unchanged"
    followed = Q(status__in=(Status.RUNNING, Status.UNKNOWN), st2_execution_id__isnull=False)
    # While its POST is under way, the answer will tell; without one, the look-up does.
    looked_up = Q(status=Status.LAUNCHING, lookup_until__isnull=False)
    waiting = ActionExecution.objects.filter(followed | looked_up, pk=row.pk)
    if waiting.update(due_at=timezone.now()):
        queue.enqueue(queue.POLL_DUE)
    return "accepted"


def ask_for_all() -> None:
    """Make the poll of all that run due now, since news of them may have been missed."""
    running = ActionExecution.objects.filter(
        status=Status.RUNNING, st2_execution_id__isnull=False, parent=None
    )
    if running.update(due_at=timezone.now()):
        queue.enqueue(queue.POLL_DUE)


def find(st2_execution_id: str, trace_tag: str) -> ActionExecution | None:
    """Return our execution that StackStorm knows by this id or, failing that, by this tag."""
    rows = ActionExecution.objects.filter(executed_via_stackstorm=True, parent=None)
    rows = rows.select_related("run__plan")
    found = rows.filter(st2_execution_id=st2_execution_id).first() if st2_execution_id else None
    if found is None and trace_tag:
        found = rows.filter(trace_tag=trace_tag).first()
    return found


def _due(*, at: datetime.datetime) -> QuerySet[ActionExecution]:
    return (
        ActionExecution.objects.filter(
            # A late answer is the one way on for an unknown one; a hint makes it due.
            status__in=(Status.RUNNING, Status.UNKNOWN),
            st2_execution_id__isnull=False,
            parent=None,
            due_at__lte=at,
        )
        .select_related("run__plan")
        .order_by("due_at", "pk")
    )


def _put_off(rows: list[ActionExecution]) -> None:
    # Before asking: should this worker die or StackStorm not answer, they are due again by then.
    running = [row.pk for row in rows if row.status == Status.RUNNING]
    resting = [row.pk for row in rows if row.status == Status.UNKNOWN]
    later = timezone.now() + datetime.timedelta(seconds=settings.POLL_INTERVAL)
    ActionExecution.objects.filter(pk__in=running, status=Status.RUNNING).update(due_at=later)
    ActionExecution.objects.filter(pk__in=resting, status=Status.UNKNOWN).update(
        due_at=timezone.now() + UNKNOWN_INTERVAL
    )


def _look_at(
    row: ActionExecution, state: ExecutionState | None, *, client: StackStormClient
) -> None:
    """Take what StackStorm says of one execution; a fault there leaves it for the next poll."""
    try:
        if row.unanswered_launches and follow_the_older(row, client=client, cause=Cause()):
            return
        if state is None or state.status in OUTCOMES:
            _fetch(row, client=client)
        else:
            _goes_on(row, state, client=client)
    except StackStormError as error:
        logger.warning("Execution %s is asked for again: %s", row, error)
        _give_up(row, f"StackStorm does not tell how it is: {error}")


def _fetch(row: ActionExecution, *, client: StackStormClient) -> None:
    """Ask for the whole of an execution that has ended, or that the list does not show."""
    try:
        remote = client.execution(row.st2_execution_id or "")
    except StackStormRejected as error:
        if error.status != 404 or row.status == Status.UNKNOWN:
            raise
        reason = f"StackStorm does not know the execution (any more): {error}"
        settle(row, Outcome.unknown(reason), cause=Cause())
        return
    if remote.status in OUTCOMES:
        tasks = client.children(remote.id) if row.step_order == 0 else []
        ended(row, remote, tasks=tasks)
    else:
        # The list said something else; what is shown last counts, and the deadline holds.
        _goes_on(row, remote, client=client)


def ended(row: ActionExecution, remote: Execution, *, tasks: list[Execution]) -> None:
    """Take the outcome that StackStorm shows; ``tasks``: of a workflow."""
    outcome = Outcome.of(remote)
    cause = Cause(actor="stackstorm")
    deadline, limit = _deadline(row)
    if remote.status == "canceled" and cause.at >= deadline and not row.run.stop:
        outcome = Outcome(Status.TIMEOUT, _out_of_time(limit), outcome.values)
    settle(row, outcome, cause=cause, tasks=tasks)


def _goes_on(row: ActionExecution, state: ExecutionState, *, client: StackStormClient) -> None:
    """Keep StackStorm's word, and cancel what has to end."""
    at = timezone.now()
    keep_word(row, state.status, at=at)
    deadline, limit = _deadline(row)
    if row.status == Status.RUNNING and (at >= deadline or row.run.stop == BucketRun.Stop.CANCEL):
        client.cancel(state.id)
        _give_up(row, f"{_out_of_time(limit)}, and StackStorm still says {state.status}")


def keep_word(row: ActionExecution, word: str, *, at: datetime.datetime) -> None:
    """Keep what StackStorm says of an execution that has not ended, and since when."""
    if changed := _news(row, word, at=at):
        ActionExecution.objects.filter(pk=row.pk, status=row.status).update(**changed)
        for name, value in changed.items():
            setattr(row, name, value)


def _news(row: ActionExecution, word: str, *, at: datetime.datetime) -> dict[str, Any]:
    """Return the columns that StackStorm's word changes. Only our clock counts."""
    changed: dict[str, Any] = {}
    if word != row.st2_action_execution_status:
        changed["st2_action_execution_status"] = word[:50]
    if word == "running" and row.running_at is None:
        changed["running_at"] = at
    if word in ASKING and row.asking_since is None:
        changed["asking_since"] = at
    elif word not in ASKING and row.asking_since:
        # The time that a person took does not count.
        changed["asking_since"] = None
        if row.running_at:
            changed["running_at"] = row.running_at + (at - row.asking_since)
    return changed


def _give_up(row: ActionExecution, reason: str) -> None:
    """Let an execution rest as unknown whose deadline is long over; a late answer still counts."""
    deadline, _ = _deadline(row)
    at = timezone.now()
    if row.status == Status.RUNNING and at >= deadline + CANCEL_GRACE:
        later = {"due_at": at + UNKNOWN_INTERVAL}
        settle(row, Outcome(Status.UNKNOWN, reason, later), cause=Cause(at=at))


def _deadline(row: ActionExecution) -> tuple[datetime.datetime, str]:
    """Return when the execution must have ended, by our clock, and the name of that limit."""
    if row.asking_since:
        begun, seconds, name = row.asking_since, settings.ST2_INQUIRY_TIMEOUT, "ST2_INQUIRY_TIMEOUT"
    elif row.running_at:
        step = row.run.plan.step(row.step_order)
        begun, seconds, name = row.running_at, step["timeout_seconds"], "timeout_seconds"
    else:
        begun = row.started_at or row.created_at
        seconds, name = settings.ST2_QUEUE_TIMEOUT, "ST2_QUEUE_TIMEOUT"
    return begun + datetime.timedelta(seconds=seconds), f"{seconds:g} s ({name})"


def _out_of_time(limit: str) -> str:
    return f"not ended within {limit} and canceled; the command may still run"
