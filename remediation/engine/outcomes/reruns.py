"""Record what people ran again in StackStorm: beside the first execution, never followed as ours.

A re-run has no trace tag of ours, but names the execution that it repeats. The stream reports it at
once. Without the stream, StackStorm is asked for the re-runs of what failed within the last day:
ever less often for each, and a bounded batch a minute for all.
"""

from __future__ import annotations

import datetime
import logging
import time
from collections.abc import Iterable
from functools import partial

from django.db import transaction

from remediation import clock
from remediation.engine import batches, log_once
from remediation.engine.outcomes import poll_interval
from remediation.engine.outcomes.traces import CLOCK_TOLERANCE
from remediation.engine.retries import retry_on_conflict
from remediation.models import ActionExecution, Cause, Heartbeat, Rerun, Transition
from remediation.stackstorm import (
    FINAL_STATUSES,
    Execution,
    RerunExecution,
    StackStormClient,
    StackStormError,
)

logger = logging.getLogger(__name__)

INTERVAL = datetime.timedelta(seconds=60)  # between two batches
BATCH = 10  # executions
BUDGET_SECONDS = 5.0
CHAIN_MAX = 3  # re-runs of an execution whose own re-runs are looked for


def take(moved: Iterable[Execution]) -> None:
    """Record the re-runs among the events of the stream."""
    told = {remote.id: remote for remote in moved if remote.rerun_of}
    if not told:
        return
    owners = _owners({remote.rerun_of for remote in told.values()})
    for remote in told.values():
        if remote.rerun_of not in owners:
            continue
        with batches.isolate(f"re-run {remote.id}", job="reruns"):
            _record(owners[remote.rerun_of], remote)


def look_for_due(*, client: StackStormClient) -> int:
    """Ask for the re-runs of what failed, a bounded batch; return how many were asked for."""
    at, until = clock.now(), time.monotonic() + BUDGET_SECONDS
    if not Heartbeat.beat("reruns", at=at, interval=INTERVAL):
        return 0
    rows = list(
        ActionExecution.objects.filter(reruns_due_at__lte=at)
        .order_by("reruns_due_at")
        .defer("parameters", "st2_result")[:BATCH]
    )
    for asked, row in enumerate(rows):
        if time.monotonic() > until:
            return asked
        with batches.isolate(row, job="reruns"):
            _put_off(row, at=at)
            if not _is_answered(row, client=client):
                return asked
    return len(rows)


def _is_answered(row: ActionExecution, *, client: StackStormClient) -> bool:
    """Look for the re-runs of one execution; return whether StackStorm could be asked."""
    try:
        _look_for(row, client=client)
    except StackStormError as error:
        log_once.warning(logger, "Re-runs are looked for later: %s", error)
        return False
    return True


def _put_off(row: ActionExecution, *, at: datetime.datetime) -> None:
    wait = poll_interval.until_next_look(at - (row.completed_at or row.created_at))
    due_at = at + wait if wait else None
    ActionExecution.objects.filter(pk=row.pk).update(reruns_due_at=due_at)


def _look_for(row: ActionExecution, *, client: StackStormClient) -> None:
    known = list(row.reruns.order_by("-pk").values_list("st2_execution_id", flat=True)[:CHAIN_MAX])
    after = row.created_at - CLOCK_TOLERANCE
    is_open = False
    for st2_id in (row.st2_execution_id or "", *known):
        for remote in client.reruns(st2_id, after=after):
            _record(row.pk, remote)
            is_open |= remote.status not in FINAL_STATUSES
    if is_open:
        later = clock.now() + INTERVAL
        waiting = ActionExecution.objects.filter(pk=row.pk, reruns_due_at__gt=later)
        waiting.update(reruns_due_at=later)


def _owners(st2_ids: set[str]) -> dict[str, int]:
    """Return the ids of our executions that these ids of StackStorm are, or are re-runs of."""
    again = Rerun.objects.filter(st2_execution_id__in=st2_ids)
    first = ActionExecution.objects.filter(st2_execution_id__in=st2_ids)
    owners = dict(again.values_list("st2_execution_id", "execution_id"))
    return owners | {st2_id or "": pk for st2_id, pk in first.values_list("st2_execution_id", "pk")}


def _record(execution_id: int, remote: Execution | RerunExecution) -> None:
    retry_on_conflict(partial(_write, execution_id, remote), description=f"The re-run {remote.id}")


def _write(execution_id: int, remote: Execution | RerunExecution) -> None:
    """Make or update the row of a re-run, with a transition when it began and when it ended."""
    status = remote.status[:50]
    with transaction.atomic():
        known = Rerun.objects.filter(st2_execution_id=remote.id).first()
        if known is None:
            Rerun.objects.create(
                execution_id=execution_id,
                st2_execution_id=remote.id,
                rerun_of=remote.rerun_of,
                st2_status=status,
                st2_user=remote.user[:150],
                st2_web_url=remote.web_url,
                started_at=remote.start_timestamp,
            )
            who = f" by {remote.user}" if remote.user else ""
            _note(execution_id, remote, f"run again in StackStorm{who} as {remote.id}: {status}")
        elif known.st2_status not in (status, *FINAL_STATUSES):
            mine = Rerun.objects.filter(pk=known.pk, st2_status=known.st2_status)
            if mine.update(st2_status=status) and status in FINAL_STATUSES:
                _note(known.execution_id, remote, f"its re-run {remote.id} in StackStorm: {status}")


def _note(execution_id: int, remote: Execution | RerunExecution, reason: str) -> None:
    execution = ActionExecution.objects.get(pk=execution_id)
    Transition.write(
        Transition.of(
            execution,
            cause=Cause(actor="stackstorm"),
            from_status=execution.status,
            to_status=execution.status,
            reason=reason,
            data={"st2_execution_id": remote.id, "rerun_of": remote.rerun_of},
        )
    )
