"""Work through many rows in bounded batches, such that a row that fails stops no other.

A failure is logged and becomes a problem on record (``problems``); the next batch tries again.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeVar

from django.db.models import Model, Q, QuerySet

from remediation.engine.row_by_row import contained, set_aside
from remediation.models import ActionExecution

ROWS_MAX = 200  # that one call of a job changes
BUDGET_SECONDS = 3.0  # that one call of a job takes at about the most

_Row = TypeVar("_Row", bound=Model)


@contextmanager
def alone(row: Model | str, *, job: str) -> Iterator[None]:
    """Carry out the block for one row; log and report what it raises, and go on.

    An execution shows the error and is left alone for some minutes. Raises what is no fault of
    the row: that the database is away, or that a lock stays.
    """

    def failed(row: Model | str, error: Exception) -> None:
        if isinstance(row, ActionExecution):
            set_aside(row, error)

    with contained(row, what=job, failed=failed, job=job):
        yield


def walk(rows: QuerySet[_Row], *, order: str) -> Iterator[_Row]:
    """Yield rows by ``order`` and id, read ROWS_MAX at a time, until the time is over."""
    until = time.monotonic() + BUDGET_SECONDS
    ordered = rows.order_by(order, "pk")
    page = list(ordered[:ROWS_MAX])
    while page:
        for row in page:
            yield row
            if time.monotonic() > until:
                return
        last = page[-1]
        key = getattr(last, order)
        behind = Q(**{f"{order}__gt": key}) | Q(**{order: key, "pk__gt": last.pk})
        page = list(ordered.filter(behind)[:ROWS_MAX]) if len(page) == ROWS_MAX else []


class Rotation:
    """Takes ids in turn: each call goes on behind the last id of the one before.

    For rows that stay in the result while they are worked on, so that those at the head do not
    keep the others from their turn. The place is this process's own.
    """

    def __init__(self) -> None:
        """Begin with the lowest id."""
        self._last = 0

    def take(self, rows: QuerySet[_Row], *, most: int) -> list[int]:
        """Return at most ``most`` ids of ``rows``, each once."""
        ids = rows.order_by("pk").values_list("pk", flat=True)
        found = list(ids.filter(pk__gt=self._last)[:most])
        if len(found) < most:
            found += list(ids.filter(pk__lte=self._last)[: most - len(found)])
        self._last = found[-1] if found else 0
        return found
