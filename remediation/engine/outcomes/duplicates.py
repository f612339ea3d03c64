"""Duplicate executions: one launch of ours that StackStorm started twice.

It happens when a launch got no response, was not found, was sent again, and the first request
arrived after all. The next poll follows the oldest execution, cancels the others and records both.
"""

from __future__ import annotations

import logging

from django.db import transaction

from remediation.engine import log_once
from remediation.engine.outcomes.execution_ids import ExecutionIdTakenError, owners
from remediation.engine.outcomes.traces import find_launched
from remediation.models import ActionExecution, Cause, Transition
from remediation.stackstorm import UNCANCELABLE_STATUSES, StackStormClient

logger = logging.getLogger(__name__)


def follow_oldest(row: ActionExecution, *, client: StackStormClient, cause: Cause) -> bool:
    """Look for duplicates of a running execution; return whether the row now follows another."""
    found = find_launched(row, client=client)
    for duplicate in found:
        # Includes those recorded earlier by a worker that died before it canceled them.
        if duplicate.id in row.st2_ghost_ids and duplicate.status not in UNCANCELABLE_STATUSES:
            client.cancel(duplicate.id)
    candidates = [remote for remote in found if remote.id not in row.st2_ghost_ids]
    if [remote.id for remote in candidates] in ([], [row.st2_execution_id]):
        return False
    followed = row.st2_execution_id
    oldest, *younger = candidates
    if not _record_followed(row, oldest.id, [one.id for one in younger], cause=cause):
        return False
    for duplicate in younger:
        client.cancel(duplicate.id)
    return oldest.id != followed


def _record_followed(
    row: ActionExecution, oldest: str, younger: list[str], *, cause: Cause
) -> bool:
    """Store the id to follow and the ids to cancel, before any of them is canceled.

    Returns False if another row has that id, or if the row has changed.
    """
    ghosts = [*row.st2_ghost_ids, *younger]
    with transaction.atomic():
        owner = owners([oldest]).get(oldest, row.pk)
        if owner != row.pk:
            log_once.warning(logger, "Execution %s: %s", row, ExecutionIdTakenError(oldest, owner))
            return False
        unchanged = ActionExecution.objects.filter(
            pk=row.pk, status=row.status, st2_execution_id=row.st2_execution_id
        )
        if not unchanged.update(st2_execution_id=oldest, st2_ghost_ids=ghosts):
            return False
        Transition.write(
            Transition.of(
                row,
                cause=cause,
                from_status=row.status,
                to_status=row.status,
                reason=_reason(row.st2_execution_id or "", oldest, younger),
                data={"st2_execution_id": oldest, "canceled": younger},
            )
        )
    row.st2_execution_id, row.st2_ghost_ids = oldest, ghosts
    return True


def _reason(followed: str, oldest: str, younger: list[str]) -> str:
    if not younger:
        return f"{followed} was not launched by PoundCake; {oldest} was and is followed now"
    return (
        f"StackStorm started it twice: {oldest} is followed, {', '.join(younger)} was canceled,"
        " but its command may have run"
    )
