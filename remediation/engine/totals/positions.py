"""Which transitions are not counted yet.

Ids are assigned before commit, so a row with a lower id may appear after one with a higher id. The
position moves past ids without a row and remembers them until no transaction can have them.
"""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.db.models import QuerySet

from remediation.engine.totals.transition_counts import Change
from remediation.models import MetricPosition, Transition

# Longer than a transaction may take: jobs and requests are killed after 60 s.
MISSING_SECONDS = 300.0
MISSING_MAX = 1_000  # remembered ids; the newest ones are kept


@dataclass(frozen=True, slots=True)
class Uncounted:
    """Transitions that are not counted, and the position once they are.

    ``is_complete``: whether there are no others.
    """

    changes: list[Change]
    position: int
    missing: list[list[float]]
    is_complete: bool


def uncounted(counted: MetricPosition, *, at: datetime.datetime, most: int) -> Uncounted:
    """Return transitions that are not counted yet: late ones, and the next ``most``."""
    now = at.timestamp()
    awaited = {int(pk): since for pk, since in counted.missing}
    late = [Change(*row) for row in _changes(pk__in=list(awaited))] if awaited else []
    new = [Change(*row) for row in _changes(pk__gt=counted.position)[:most]]
    kept = {pk: since for pk, since in awaited.items() if now - since < MISSING_SECONDS}
    for change in late:
        kept.pop(change.id, None)
    kept |= dict.fromkeys(_gaps(counted.position, [change.id for change in new]), now)
    return Uncounted(
        changes=[*late, *new],
        position=new[-1].id if new else counted.position,
        missing=[[pk, since] for pk, since in sorted(kept.items())][-MISSING_MAX:],
        is_complete=len(new) < most,
    )


def _changes(**conditions: Any) -> QuerySet[Transition, tuple[Any, ...]]:
    rows = Transition.objects.filter(**conditions).order_by("pk")
    return rows.values_list("pk", "at", "subject_type", "subject_id", "from_status", "to_status")


def _gaps(before: int, ids: Sequence[int]) -> list[int]:
    gaps: list[int] = []
    for pk in ids:
        gaps += range(max(before + 1, pk - MISSING_MAX), pk)
        before = pk
    return gaps
