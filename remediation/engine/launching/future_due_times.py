"""Bring back what is due too far in the future: a clock was wrong when it was stamped.

It happens on SQLite when the machine's clock is set back, and after a failover to a database
whose clock is behind. Without it, nothing would be polled or rescued for as long as that.
"""

from __future__ import annotations

import datetime
import logging

from remediation import clock
from remediation.engine.batches import ROWS_MAX
from remediation.engine.launching.claim import lease
from remediation.engine.launching.lookup import LONGEST_WAIT
from remediation.engine.outcomes import poll_interval
from remediation.engine.outcomes.advance import retry_delay
from remediation.models import ActionExecution

logger = logging.getLogger(__name__)

Status = ActionExecution.Status

LONGEST_RELEASE = datetime.timedelta(seconds=300)  # before what was claimed is due again


def bring_back() -> int:
    """Make due what cannot be due that late; return how many rows that were."""
    at = clock.now()
    moved = sum(
        _no_later(status, at=at, longest=longest, **columns)
        for status, longest, columns in _longest()
    ) + _bring_back_new(at=at)
    if moved:
        logger.warning("%s executions were due too far in the future: a clock was set.", moved)
    return moved


def _longest() -> list[tuple[Status, datetime.timedelta, dict[str, object]]]:
    """Return how far ahead the rows of a status can be due at the most."""
    remote: dict[str, object] = {"executed_via_stackstorm": True}
    local: dict[str, object] = {"executed_via_stackstorm": False}
    slowest = (
        poll_interval.next_interval(datetime.timedelta(days=1), is_streamed=True)
        + poll_interval.shortest_interval()
    )
    return [
        (Status.RUNNING, slowest, remote),
        (Status.UNKNOWN, poll_interval.UNKNOWN_INTERVAL, remote),
        (Status.LAUNCHING, LONGEST_WAIT, remote | {"lookup_until__isnull": False}),
        # Not rescued at once: its worker may be alive, and gets its lease again.
        (Status.LAUNCHING, lease(is_local=False), remote | {"lookup_until": None}),
        (Status.LAUNCHING, lease(is_local=True), local),
        (Status.PENDING, LONGEST_RELEASE, remote | {"started_at__isnull": False}),
        (Status.PENDING, LONGEST_RELEASE, local | {"started_at__isnull": False}),
    ]


def _no_later(
    status: Status, *, at: datetime.datetime, longest: datetime.timedelta, **columns: object
) -> int:
    rows = ActionExecution.objects.filter(
        status=status, due_at__gt=at + longest + clock.TOLERANCE, **columns
    )
    # Mostly there is none, and a write would wait for other writers.
    return rows.update(due_at=at + longest) if rows.exists() else 0


def _bring_back_new(*, at: datetime.datetime) -> int:
    """Make due what was made by a clock that was ahead, after no more than its delay."""
    rows = ActionExecution.objects.filter(
        status=Status.PENDING,
        started_at=None,
        created_at__gt=at + clock.TOLERANCE,
        due_at__gt=at + clock.TOLERANCE,
    ).select_related("run__plan")
    moved = 0
    for row in rows.order_by("created_at")[:ROWS_MAX]:
        due_at = at + retry_delay(row.run.plan.step(row.step_order), row.attempt)
        if row.due_at and row.due_at > due_at + clock.TOLERANCE:
            mine = ActionExecution.objects.filter(pk=row.pk, status=row.status, due_at=row.due_at)
            moved += mine.update(due_at=due_at)
    return moved
