"""Record re-runs: executions that users started again in StackStorm. They settle no row of ours.

A re-run has no trace tag of ours but refers to the execution it repeats. The stream reports it at
once. Without the stream, StackStorm is queried for re-runs of executions that failed within the
last day: at growing intervals for each, in a bounded batch per minute for all.
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
from remediation.engine.outcomes.execution_ids import owners
from remediation.engine.outcomes.traces import CLOCK_TOLERANCE
from remediation.engine.transaction_retries import retry_on_conflict
from remediation.models import ActionExecution, Cause, JobSchedule, Rerun, Transition
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
CHAIN_MAX = 3  # newest re-runs of an execution that are themselves checked for re-runs


def record_events(updates: Iterable[Execution]) -> None:
    """Record the re-runs among the events of the stream."""
    reported = {remote.id: remote for remote in updates if remote.rerun_of}
    if not reported:
        return
    execution_ids = _owners({remote.rerun_of for remote in reported.values()})
    for remote in reported.values():
        if remote.rerun_of not in execution_ids:
            continue
        with batches.isolate(f"re-run {remote.id}", job="reruns"):
            _record(execution_ids[remote.rerun_of], remote)


def check_due(*, client: StackStormClient) -> int:
    """Check a bounded batch of failed executions for re-runs; return how many were checked."""
    at, until = clock.now(), time.monotonic() + BUDGET_SECONDS
    if not JobSchedule.start_if_due("reruns", at=at, interval=INTERVAL):
        return 0
    rows = list(
        ActionExecution.objects.filter(reruns_due_at__lte=at)
        .order_by("reruns_due_at")
        .defer("parameters", "st2_result")[:BATCH]
    )
    for checked, row in enumerate(rows):
        if time.monotonic() > until:
            return checked
        with batches.isolate(row, job="reruns"):
            _schedule_next(row, at=at)
            try:
                _check(row, client=client)
            except StackStormError as error:
                log_once.warning(logger, "Checking for re-runs failed, will retry: %s", error)
                return checked
    return len(rows)


def _schedule_next(row: ActionExecution, *, at: datetime.datetime) -> None:
    wait = poll_interval.next_rerun_check(at - (row.completed_at or row.created_at))
    due_at = at + wait if wait else None
    ActionExecution.objects.filter(pk=row.pk).update(reruns_due_at=due_at)


def _check(row: ActionExecution, *, client: StackStormClient) -> None:
    known = list(row.reruns.order_by("-pk").values_list("st2_execution_id", flat=True)[:CHAIN_MAX])
    after = row.created_at - CLOCK_TOLERANCE
    is_open = False
    for st2_id in (row.st2_execution_id or "", *known):
        for remote in client.reruns(st2_id, after=after):
            _record(row.pk, remote)
            is_open |= remote.status not in FINAL_STATUSES
    if is_open:
        later = clock.now() + INTERVAL
        # Sooner than planned, to record how the re-run ends.
        planned_later = ActionExecution.objects.filter(pk=row.pk, reruns_due_at__gt=later)
        planned_later.update(reruns_due_at=later)


def _owners(st2_ids: set[str]) -> dict[str, int]:
    """Return StackStorm id -> primary key of the execution that has it or whose re-run has it."""
    known = Rerun.objects.filter(st2_execution_id__in=st2_ids)
    return dict(known.values_list("st2_execution_id", "execution_id")) | owners(st2_ids)


def _record(execution_id: int, remote: Execution | RerunExecution) -> None:
    retry_on_conflict(
        partial(_write, execution_id, remote), description=f"Recording the re-run {remote.id}"
    )


def _write(execution_id: int, remote: Execution | RerunExecution) -> None:
    """Create or update the row of a re-run; write a transition when it is new and when it ends."""
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
            user = f" by {remote.user}" if remote.user else ""
            _write_transition(
                execution_id, remote, f"run again in StackStorm{user} as {remote.id}: {status}"
            )
        elif known.st2_status not in (status, *FINAL_STATUSES):
            unchanged = Rerun.objects.filter(pk=known.pk, st2_status=known.st2_status)
            if unchanged.update(st2_status=status) and status in FINAL_STATUSES:
                _write_transition(
                    known.execution_id, remote, f"re-run {remote.id} in StackStorm: {status}"
                )


def _write_transition(execution_id: int, remote: Execution | RerunExecution, reason: str) -> None:
    execution = ActionExecution.objects.get(pk=execution_id)
    Transition.write(
        Transition.of(
            execution,
            cause=Cause.of_stackstorm(),
            from_status=execution.status,
            to_status=execution.status,
            reason=reason,
            data={"st2_execution_id": remote.id, "rerun_of": remote.rerun_of},
        )
    )
