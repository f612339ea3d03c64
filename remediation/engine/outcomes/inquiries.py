"""Inquiries: where StackStorm asks a person, which of them are open, and since when.

An inquiry may be the execution itself (``core.ask``), a task of a workflow or of an action-chain,
or a task of a sub-workflow. The workflow then is ``paused``, ``pausing``, ``resuming`` or, beside
another branch, ``running``: StackStorm has to be asked for its open inquiries. They are kept in
``ActionExecution.inquiries``. An inquiry that is open when its execution ends stays in that list:
StackStorm never cancels it, and an answer to it has no effect any more.
"""

from __future__ import annotations

import datetime
import json
import logging
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from remediation import clock, queue
from remediation.engine.secrets import masked
from remediation.models import ActionExecution
from remediation.models.statements import compare_and_set
from remediation.redaction import MASK, is_secret_name
from remediation.stackstorm import (
    Execution,
    Inquiry,
    StackStormClient,
    StackStormError,
    inquiries_among,
)
from remediation.stackstorm.runners import PLAIN_RUNNERS

logger = logging.getLogger(__name__)

Status = ActionExecution.Status

WAITS_FOR_A_PERSON = {"pending", "paused"}
MAY_ASK = {"paused", "pausing", "resuming"}
UNDER_WAY = MAY_ASK | {"running"}
SHOWN_MAX = 20  # open inquiries of one execution
SCHEMA_BYTES_MAX = 20_000
SCHEMA_DEPTH_MAX = 8
# Between two requests for open inquiries: of an execution that asks, and of one that may.
ASKING_INTERVAL = (datetime.timedelta(seconds=10), datetime.timedelta(seconds=60))
RUNNING_INTERVAL = (datetime.timedelta(seconds=15), datetime.timedelta(minutes=5))


def asking_changes(
    row: ActionExecution, status: str, *, inquiries: Sequence[Any], at: datetime.datetime
) -> dict[str, Any]:
    """Return the columns to update for this remote status and these open inquiries.

    The time that a person takes does not count against the execution's time limit.
    """
    if status == "canceling":
        return {}  # the limit that is over stays the reason
    is_asking = status in WAITS_FOR_A_PERSON or (bool(inquiries) and status in UNDER_WAY)
    if is_asking and row.asking_since is None:
        return {"asking_since": at}
    if is_asking or row.asking_since is None:
        return {}
    changed: dict[str, Any] = {"asking_since": None}
    if row.running_at:
        changed["running_at"] = row.running_at + (at - row.asking_since)
    return changed


def must_look_again(row: ActionExecution, status: str) -> bool:
    """Return whether this new remote status may mean other open inquiries."""
    return row.inquiries_checked_at is not None and (status in MAY_ASK or bool(row.inquiries))


def expect(st2_execution_ids: Collection[str]) -> None:
    """Have StackStorm asked for the inquiries of these executions by the next poll, due now."""
    if not st2_execution_ids:
        return
    rows = ActionExecution.objects.filter(
        st2_execution_id__in=st2_execution_ids, parent=None, status=Status.RUNNING
    )
    if rows.update(due_at=clock.now(), inquiries_checked_at=clock.EPOCH):
        queue.enqueue(queue.TICK)


def look(
    row: ActionExecution, status: str, *, client: StackStormClient, at: datetime.datetime
) -> None:
    """Ask StackStorm for the open inquiries of a running execution, when it is time to.

    That is at once for one that is paused, and at growing intervals for a workflow that runs.
    """
    if row.status != Status.RUNNING or not _is_due(row, status, at=at):
        return
    inquiries = row.inquiries
    try:
        inquiries = as_stored(_open_inquiries(row, status, client=client))
    except StackStormError as error:
        logger.warning("The inquiries of execution %s are asked for again: %s", row, error)
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
        return False  # it is the inquiry itself, which does not change while it is open
    if status not in UNDER_WAY | {"pending"}:
        return False
    if row.inquiries_checked_at is None and (status != "running" or row.inquiries):
        return True
    began = row.running_at or row.started_at or at
    since = row.inquiries_checked_at or began
    if row.asking_since:
        interval = _within(ASKING_INTERVAL, (at - row.asking_since) / 4)
    else:
        interval = _within(RUNNING_INTERVAL, since - began)
    return at >= since + interval and (status != "running" or _may_have_tasks(row))


def _within(
    limits: tuple[datetime.timedelta, datetime.timedelta], interval: datetime.timedelta
) -> datetime.timedelta:
    least, most = limits
    return min(max(interval, least), most)


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
    if is_nested or (not found and status in MAY_ASK):
        found = [one for one in inquiries_among(client.children(st2_id)) if one.is_open]
    return found


def as_stored(inquiries: Iterable[Inquiry]) -> list[dict[str, Any]]:
    """Return inquiries as ``ActionExecution.inquiries`` keeps them, the first SHOWN_MAX."""
    return [
        stored_inquiry(
            one.id,
            task=one.task_name,
            workflow_id=one.workflow_id,
            route=one.route,
            ttl_minutes=one.ttl_minutes,
            users=list(one.users),
            roles=list(one.roles),
            asked_at=one.asked_at.isoformat() if one.asked_at else None,
            schema=_shown_schema(one.schema),
        )
        for one in list(inquiries)[:SHOWN_MAX]
    ]


def stored_inquiry(inquiry_id: str, **known: Any) -> dict[str, Any]:
    """Return an inquiry as ``ActionExecution.inquiries`` keeps it; what is not known is empty."""
    unknown: dict[str, Any] = {
        "task": "",
        "workflow_id": "",
        "route": "",
        "ttl_minutes": None,
        "users": [],
        "roles": [],
        "asked_at": None,
        "schema": {},
    }
    return {"id": inquiry_id, **unknown, **known}


def _shown_schema(schema: Mapping[str, object]) -> dict[str, Any]:
    """Return a schema without secrets; an empty one in place of one that is too large."""
    shown = _without_secrets(schema, depth=0)
    return shown if len(json.dumps(shown).encode()) <= SCHEMA_BYTES_MAX else {}


def _without_secrets(schema: Mapping[str, object], *, depth: int) -> dict[str, Any]:
    # By its name alone a property would be masked as a whole, and its question with it.
    if depth > SCHEMA_DEPTH_MAX:
        return {}
    shown: dict[str, Any] = masked(
        {name: value for name, value in schema.items() if name != "properties"}
    )
    properties = schema.get("properties")
    if isinstance(properties, Mapping):
        shown["properties"] = {
            name: _shown_property(name, value, depth=depth + 1)
            for name, value in properties.items()
        }
    return shown


def _shown_property(name: str, value: object, *, depth: int) -> Any:
    if not isinstance(value, Mapping):
        return masked(value)
    shown = _without_secrets(value, depth=depth)
    if is_secret_name(name) or value.get("secret"):
        shown |= {key: MASK for key in ("default", "enum", "const", "examples") if key in shown}
    return shown


def stay_open(ids: Sequence[str]) -> str:
    """Return the sentence about inquiries that are open when their execution has ended."""
    if len(ids) == 1:
        return f"the inquiry {ids[0]} stays open in StackStorm; an answer has no effect any more"
    return (
        f"the inquiries {', '.join(ids)} stay open in StackStorm; answers have no effect any more"
    )


def end_of_task(task: Execution) -> tuple[Status, str] | None:
    """Return status and reason of an inquiry that nobody answered; None for any other task.

    ``task``: of a workflow that has ended.
    """
    for inquiry in inquiries_among([task]):
        if inquiry.is_open:
            return Status.SKIPPED, stay_open([inquiry.id])
        if inquiry.is_expired:
            return Status.TIMEOUT, inquiry.expired
    return None
