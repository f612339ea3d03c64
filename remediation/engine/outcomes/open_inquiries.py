"""Find the open inquiries of running executions and record since when they wait for an answer.

An inquiry is StackStorm's question to a user. It is the execution itself (``core.ask``), a task
of a workflow or action-chain, or a task of a sub-workflow. The workflow is then ``paused``,
``pausing`` or ``resuming``, or still ``running`` in another branch, so its status alone does not
show an inquiry: PoundCake requests the open inquiries and stores them in
``ActionExecution.inquiries``. An inquiry that is open when its execution ends stays in that list:
StackStorm never cancels it, and an answer to it has no effect any more.
"""

from __future__ import annotations

import datetime
import logging
from collections.abc import Collection, Sequence
from typing import Any

from remediation import clock, queue
from remediation.engine.outcomes.stored_inquiries import as_stored
from remediation.models import ActionExecution
from remediation.models.raw_sql import compare_and_set
from remediation.stackstorm import Inquiry, StackStormClient, StackStormError, inquiries_among
from remediation.stackstorm.runners import PLAIN_RUNNERS

logger = logging.getLogger(__name__)

Status = ActionExecution.Status

PAUSED_STATUSES = {"paused", "pausing", "resuming"}  # of a workflow that may have an open inquiry
_WAITING_STATUSES = {"pending", "paused"}
_ACTIVE_STATUSES = PAUSED_STATUSES | {"running"}
# Shortest and longest time between two requests for the open inquiries of an execution.
_ASKING_INTERVAL = (datetime.timedelta(seconds=10), datetime.timedelta(seconds=60))
_RUNNING_INTERVAL = (datetime.timedelta(seconds=15), datetime.timedelta(minutes=5))


def asking_changes(
    row: ActionExecution, status: str, *, inquiries: Sequence[Any], at: datetime.datetime
) -> dict[str, Any]:
    """Return the columns to update for this remote status and these open inquiries.

    The time spent waiting for an answer does not count against the execution's time limit.
    """
    if status == "canceling":
        return {}  # keep asking_since: the deadline that has passed stays the reason
    is_asking = status in _WAITING_STATUSES or (bool(inquiries) and status in _ACTIVE_STATUSES)
    if is_asking and row.asking_since is None:
        return {"asking_since": at}
    if is_asking or row.asking_since is None:
        return {}
    changed: dict[str, Any] = {"asking_since": None}
    if row.running_at:
        changed["running_at"] = row.running_at + (at - row.asking_since)
    return changed


def needs_recheck(row: ActionExecution, status: str) -> bool:
    """Return whether the open inquiries may differ now that the remote status has changed."""
    return row.inquiries_checked_at is not None and (
        status in PAUSED_STATUSES or bool(row.inquiries)
    )


def check_with_next_poll(st2_execution_ids: Collection[str]) -> None:
    """Make the polls of these executions due now, and have them request open inquiries."""
    if not st2_execution_ids:
        return
    rows = ActionExecution.objects.filter(
        st2_execution_id__in=st2_execution_ids, parent=None, status=Status.RUNNING
    )
    if rows.update(due_at=clock.now(), inquiries_checked_at=clock.EPOCH):
        queue.enqueue(queue.TICK)


def refresh_inquiries(
    row: ActionExecution, status: str, *, client: StackStormClient, at: datetime.datetime
) -> None:
    """Request the open inquiries of a running execution and store them, if a check is due.

    A paused execution is checked at once, a running workflow at growing intervals.
    """
    if row.status != Status.RUNNING or not _is_due(row, status, at=at):
        return
    inquiries = row.inquiries
    try:
        inquiries = as_stored(_open_inquiries(row, status, client=client))
    except StackStormError as error:
        logger.warning("Reading the inquiries of execution %s failed, will retry: %s", row, error)
    changed = {
        "inquiries": inquiries,
        "inquiries_checked_at": at,
        **asking_changes(row, status, inquiries=inquiries, at=at),
    }
    if compare_and_set(row, expected={"status": row.status}, **changed):
        for name, value in changed.items():
            setattr(row, name, value)


def _is_due(row: ActionExecution, status: str, *, at: datetime.datetime) -> bool:
    if status == "pending" and row.inquiries:
        return False  # the execution is the inquiry itself, which does not change while open
    if status not in _ACTIVE_STATUSES | {"pending"}:
        return False
    if row.inquiries_checked_at is None and (status != "running" or row.inquiries):
        return True
    started = row.running_at or row.started_at or at
    last_check = row.inquiries_checked_at or started
    if row.asking_since:
        interval = _clamp((at - row.asking_since) / 4, _ASKING_INTERVAL)
    else:
        interval = _clamp(last_check - started, _RUNNING_INTERVAL)
    return at >= last_check + interval and (status != "running" or _may_have_tasks(row))


def _clamp(
    interval: datetime.timedelta, limits: tuple[datetime.timedelta, datetime.timedelta]
) -> datetime.timedelta:
    shortest, longest = limits
    return min(max(interval, shortest), longest)


def _may_have_tasks(row: ActionExecution) -> bool:
    return row.step_order == 0 or row.action is None or row.action.st2_runner not in PLAIN_RUNNERS


def _open_inquiries(
    row: ActionExecution, status: str, *, client: StackStormClient
) -> list[Inquiry]:
    st2_id = row.st2_execution_id or ""
    if status == "pending":
        return [one for one in [client.inquiry(st2_id)] if one.is_open]
    found = client.pending_inquiries(st2_id)
    is_nested = client.has_paused_task(st2_id)
    if is_nested or (not found and status in PAUSED_STATUSES):
        found = [one for one in inquiries_among(client.children(st2_id)) if one.is_open]
    return found
