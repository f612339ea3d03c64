"""Decide which executions are polled now, and when each is polled next."""

from __future__ import annotations

import datetime
from itertools import groupby

from django.db import transaction
from django.db.models import Min, Q, QuerySet, prefetch_related_objects

from remediation import clock
from remediation.engine.outcomes import poll_interval
from remediation.engine.outcomes.deadlines import deadline
from remediation.engine.row_by_row import isolate, postpone
from remediation.models import ActionExecution
from remediation.stackstorm import MAX_IDS_PER_REQUEST

Status = ActionExecution.Status
# An unknown execution can still end by a later response of StackStorm, so it is polled as well.
POLLED = Q(
    status__in=(Status.RUNNING, Status.UNKNOWN),
    executed_via_stackstorm=True,
    st2_execution_id__isnull=False,
    parent=None,
)


def take_due(*, at: datetime.datetime) -> list[ActionExecution]:
    """Return a batch of executions whose poll is due, with runs and plans.

    Their next poll is scheduled already, before StackStorm is called, in case this worker dies or
    StackStorm does not respond. Rows that another worker has locked are skipped.
    """
    taken: list[ActionExecution] = []

    def take_each(_batch: object, _error: Exception) -> None:
        rows = ActionExecution.objects.filter(POLLED, due_at__lte=at).order_by("due_at", "pk")
        for row in rows[:MAX_IDS_PER_REQUEST]:
            with isolate(row, description="Selecting it for a poll", on_failure=postpone):
                taken.extend(_schedule_next(_due(at=at).filter(pk=row.pk)))

    with isolate("a batch", description="Selecting executions to poll", on_failure=take_each):
        taken += _schedule_next(_due(at=at)[:MAX_IDS_PER_REQUEST])
    return taken


def next_due() -> datetime.datetime | None:
    """Return when the next poll or look-up is due, None if there is none."""
    # One query per status: each reads one end of an index.
    remote = ActionExecution.objects.filter(executed_via_stackstorm=True)
    due = [
        remote.filter(status=status).aggregate(due=Min("due_at"))["due"]
        for status in (Status.RUNNING, Status.LAUNCHING)
    ]
    return min((at for at in due if at), default=None)


def _due(*, at: datetime.datetime) -> QuerySet[ActionExecution]:
    return (
        ActionExecution.objects.filter(POLLED, due_at__lte=at)
        .select_for_update(skip_locked=True)
        .defer("parameters", "st2_result")
        .order_by("due_at", "pk")
    )


def _schedule_next(due: QuerySet[ActionExecution]) -> list[ActionExecution]:
    is_streamed = poll_interval.is_streamed()
    with transaction.atomic():
        rows = list(due)
        prefetch_related_objects(rows, "run__plan", "action")
        now = clock.now()
        by_time = sorted((_next_poll(row, at=now, is_streamed=is_streamed), row.pk) for row in rows)
        for due_at, group in groupby(by_time, key=lambda pair: pair[0]):
            ActionExecution.objects.filter(pk__in=[pk for _, pk in group]).update(due_at=due_at)
    return rows


def _next_poll(
    row: ActionExecution, *, at: datetime.datetime, is_streamed: bool
) -> datetime.datetime:
    if row.status == Status.UNKNOWN:
        return at + poll_interval.UNKNOWN_INTERVAL
    shortest = poll_interval.shortest_interval()
    interval = poll_interval.next_interval(at - (row.started_at or at), is_streamed=is_streamed)
    limit = deadline(row)
    if not limit.is_over(at):
        interval = min(interval, limit.at - at)
    # Rounded to multiples, so that one UPDATE covers many rows.
    return at + max(1, round(interval / shortest)) * shortest
