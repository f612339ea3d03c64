"""Process many rows in bounded batches; a row that fails does not stop the others.

A failure is logged and becomes a current problem (``problems``); the next batch retries the row.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeVar

from django.db.models import Model, Q, QuerySet

from remediation import queue
from remediation.engine import row_by_row
from remediation.engine.row_by_row import postpone
from remediation.models import ActionExecution

ROWS_MAX = 200  # rows that one call of a job changes
BUDGET_SECONDS = 3.0  # approximate duration of one call of a job

_Row = TypeVar("_Row", bound=Model)


@contextmanager
def isolate(row: Model | str, *, job: str) -> Iterator[None]:
    """Catch, log and report an error in the block; postpone the row if it is an execution.

    Raises DatabaseError if a lock persists or the database is down: these do not depend on the row.
    """

    def on_failure(row: Model | str, error: Exception) -> None:
        if isinstance(row, ActionExecution):
            postpone(row, error)

    with row_by_row.isolate(row, description=job, on_failure=on_failure, job=job):
        yield


def walk(rows: QuerySet[_Row], *, order: str) -> Iterator[_Row]:
    """Yield rows by ``order`` and id, ROWS_MAX a query, until BUDGET_SECONDS or a stop."""
    deadline = time.monotonic() + BUDGET_SECONDS
    ordered = rows.order_by(order, "pk")
    page = list(ordered[:ROWS_MAX])
    while page:
        for row in page:
            yield row
            if time.monotonic() > deadline or queue.is_stopping():
                return
        last = page[-1]
        key = getattr(last, order)
        after_last = Q(**{f"{order}__gt": key}) | Q(**{order: key, "pk__gt": last.pk})
        page = list(ordered.filter(after_last)[:ROWS_MAX]) if len(page) == ROWS_MAX else []


class Rotation:
    """Selects ids round-robin: each call continues after the last id of the previous call.

    For rows that stay in the queryset while they are processed, so that the first rows do not
    starve the others. The position is kept per process.
    """

    def __init__(self) -> None:
        """Start with the lowest id."""
        self._last = 0

    def take(self, rows: QuerySet[_Row], *, limit: int) -> list[int]:
        """Return at most ``limit`` ids of ``rows``, each once."""
        ids = rows.order_by("pk").values_list("pk", flat=True)
        found = list(ids.filter(pk__gt=self._last)[:limit])
        if len(found) < limit:
            found += list(ids.filter(pk__lte=self._last)[: limit - len(found)])
        self._last = found[-1] if found else 0
        return found
