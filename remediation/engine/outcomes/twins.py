"""One launch, two executions in StackStorm: follow the older one and cancel the younger.

It can happen when a launch got no answer, was not found, was sent once more, and the first request
landed after all. It is put right as soon as a poll sees it, and stays on record.
"""

from __future__ import annotations

import logging

from django.db import transaction

from remediation.engine import log_once
from remediation.engine.outcomes.id_owners import ForeignIdError, owners
from remediation.engine.outcomes.traces import traced
from remediation.models import ActionExecution, Cause, Transition
from remediation.stackstorm import UNCANCELABLE_STATUSES, StackStormClient

logger = logging.getLogger(__name__)


def follow_the_older(row: ActionExecution, *, client: StackStormClient, cause: Cause) -> bool:
    """Look for a twin of a running execution; return whether the row follows another one now."""
    found = traced(row, client=client)
    for twin in found:
        # Also those of an earlier look, whose worker may have died before it canceled them.
        if twin.id in row.st2_ghost_ids and twin.status not in UNCANCELABLE_STATUSES:
            client.cancel(twin.id)
    counting = [remote for remote in found if remote.id not in row.st2_ghost_ids]
    if [remote.id for remote in counting] in ([], [row.st2_execution_id]):
        return False
    followed = row.st2_execution_id
    older, *younger = counting
    if not _keep(row, older.id, [twin.id for twin in younger], cause=cause):
        return False
    for twin in younger:
        client.cancel(twin.id)
    return older.id != followed


def _keep(row: ActionExecution, older: str, younger: list[str], *, cause: Cause) -> bool:
    """Record which execution is followed; return False when it may not be, or is by others."""
    ghosts = [*row.st2_ghost_ids, *younger]
    with transaction.atomic():
        owner = owners([older]).get(older, row.pk)
        if owner != row.pk:
            log_once.warning(logger, "Execution %s: %s", row, ForeignIdError(older, owner))
            return False
        mine = ActionExecution.objects.filter(
            pk=row.pk, status=row.status, st2_execution_id=row.st2_execution_id
        )
        if not mine.update(st2_execution_id=older, st2_ghost_ids=ghosts):
            return False
        Transition.write(
            Transition.of(
                row,
                cause=cause,
                from_status=row.status,
                to_status=row.status,
                reason=_reason(row.st2_execution_id or "", older, younger),
                data={"st2_execution_id": older, "canceled": younger},
            )
        )
    row.st2_execution_id, row.st2_ghost_ids = older, ghosts
    return True


def _reason(followed: str, older: str, younger: list[str]) -> str:
    if not younger:
        return f"{followed} was not launched by PoundCake: {older} was, and is followed"
    return (
        f"StackStorm had started it twice: {older} is followed, {', '.join(younger)} was canceled,"
        " but its command may have run"
    )
