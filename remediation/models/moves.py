"""Change the status of a run or an execution by compare and set, with its transition."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.db import transaction

from remediation.models.actor import Cause
from remediation.models.raw_sql import compare_and_set
from remediation.models.transition import (
    IllegalTransitionError,
    Transition,
    TransitionBatch,
)


def move(
    row: Any,
    target: str,
    values: Mapping[str, Any],
    *,
    expected: Mapping[str, Any],
    cause: Cause,
    reason: str,
    batch: TransitionBatch | None,
) -> None:
    """Set the status and ``values`` if the columns ``expected`` are unchanged.

    ``row``: a model instance with ``MOVES`` (target -> allowed sources). The transition is written
    in the same transaction. Raises IllegalTransitionError if the move is not allowed, or if
    another process has changed the row.
    """
    before = row.status
    # A savepoint would cost two statements per move. An error rolls back the caller's transaction.
    with transaction.atomic(savepoint=False):
        is_moved = before in row.MOVES[target] and compare_and_set(
            row, expected={"status": before, **expected}, status=target, **values
        )
        if is_moved:
            Transition.write(
                Transition.of(
                    row, cause=cause, from_status=before, to_status=target, reason=reason
                ),
                batch=batch,
            )
    # Raise after the block: inside it, an exception would also roll back the caller's transaction,
    # and callers that lose a race continue.
    if not is_moved:
        raise IllegalTransitionError(f"{type(row).NOUN} {row} cannot become {target}.")
    row.status = target
    for name, value in values.items():
        setattr(row, name, value)
