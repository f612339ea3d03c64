"""Store StackStorm's status of executions that have not ended."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Sequence
from typing import Any

from django.db import transaction

from remediation import clock
from remediation.engine.outcomes.open_inquiries import asking_changes, needs_recheck
from remediation.engine.row_by_row import postpone, run_batch
from remediation.models import ActionExecution
from remediation.models.raw_sql import compare_and_set
from remediation.stackstorm import Execution

# The columns that ``_changed_columns`` may change.
STATUS_FIELDS = (
    "st2_action_execution_status",
    "running_at",
    "asking_since",
    "inquiries",
    "inquiries_checked_at",
)


def store_remote_statuses(updates: Iterable[tuple[ActionExecution, Execution]]) -> None:
    """Store StackStorm's status of unfinished executions, in one transaction."""
    # One lock order for all workers prevents deadlocks.
    in_order = sorted(updates, key=lambda pair: pair[0].pk)

    def store(pairs: Sequence[tuple[ActionExecution, Execution]]) -> None:
        with transaction.atomic():
            for row, remote in pairs:
                store_remote_status(row, remote.status, at=clock.now())

    run_batch(
        in_order,
        store,
        description=f"Storing the status of {len(in_order)} executions",
        on_failure=lambda pair, error: postpone(pair[0], error),
        before_retry=lambda pair: pair[0].refresh_from_db(fields=[*STATUS_FIELDS, "status"]),
    )


def store_remote_status(row: ActionExecution, status: str, *, at: datetime.datetime) -> None:
    """Store StackStorm's status of an unfinished execution and the time it changed."""
    changed = _changed_columns(row, status, at=at)
    if changed and compare_and_set(row, expected={"status": row.status}, **changed):
        for name, value in changed.items():
            setattr(row, name, value)


def _changed_columns(row: ActionExecution, status: str, *, at: datetime.datetime) -> dict[str, Any]:
    """Return the columns to update for this remote status. Timestamps use our clock."""
    changed: dict[str, Any] = {}
    if status != row.st2_action_execution_status:
        changed["st2_action_execution_status"] = status[:50]
    if status == "running" and row.running_at is None:
        changed["running_at"] = at
    if changed and needs_recheck(row, status):
        changed["inquiries_checked_at"] = None
    return changed | asking_changes(row, status, inquiries=row.inquiries, at=at)
