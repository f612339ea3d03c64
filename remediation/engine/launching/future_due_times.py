"""Correct due times that are too far in the future because a clock was wrong.

On SQLite this happens when the machine's clock is set back, else after a failover to a database
whose clock is behind. Without a correction the rows would not be polled or recovered until then.
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

LONGEST_RELEASE = datetime.timedelta(seconds=300)  # from a release to the next due time


def correct() -> int:
    """Move due times that are later than possible; return the number of rows."""
    at = clock.now()
    moved = sum(
        _limit_due_at(status, at=at, longest=longest, **columns)
        for status, longest, columns in _longest_delays()
    ) + _correct_new(at=at)
    if moved:
        logger.warning("%s executions were due too far in the future: a clock was set back.", moved)
    return moved


def _longest_delays() -> list[tuple[Status, datetime.timedelta, dict[str, object]]]:
    """Return the longest possible time until a row of each status is due."""
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
        # Not recovered at once: its worker may be alive, and gets a new lease.
        (Status.LAUNCHING, lease(is_local=False), remote | {"lookup_until": None}),
        (Status.LAUNCHING, lease(is_local=True), local),
        (Status.PENDING, LONGEST_RELEASE, remote | {"started_at__isnull": False}),
        (Status.PENDING, LONGEST_RELEASE, local | {"started_at__isnull": False}),
    ]


def _limit_due_at(
    status: Status, *, at: datetime.datetime, longest: datetime.timedelta, **columns: object
) -> int:
    rows = ActionExecution.objects.filter(
        status=status, due_at__gt=at + longest + clock.TOLERANCE, **columns
    )
    # Usually there is none, and an UPDATE would wait for other writers.
    return rows.update(due_at=at + longest) if rows.exists() else 0


def _correct_new(*, at: datetime.datetime) -> int:
    """Limit the due times of rows created with a clock that was ahead to their retry delay."""
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
            unchanged = ActionExecution.objects.filter(
                pk=row.pk, status=row.status, due_at=row.due_at
            )
            moved += unchanged.update(due_at=due_at)
    return moved
