"""Add new transitions to the totals, so that a scrape reads few rows."""

from __future__ import annotations

from django.db import transaction

from remediation import clock
from remediation.engine.totals.positions import uncounted
from remediation.engine.totals.transition_counts import counts_of
from remediation.models import MetricPosition, MetricTotal

BATCH_ROWS = 2_000
TICK_SECONDS = 1.0  # of one call, which is part of a tick


def advance() -> None:
    """Count the uncounted transitions in batches, for about TICK_SECONDS."""
    limit = clock.Timer(TICK_SECONDS)
    while not _count_batch() and not limit.is_over():
        pass


def _count_batch() -> bool:
    """Count a batch; return whether all is counted, or another process is counting."""
    counted = MetricPosition.current()
    batch = uncounted(counted, at=clock.now(), most=BATCH_ROWS)
    if (batch.position, batch.missing) == (counted.position, counted.missing):
        return True
    counts = counts_of(batch.changes)
    # The rows are read before the transaction, which on SQLite would block all writers.
    with transaction.atomic():
        is_first = counted.move(position=batch.position, missing=batch.missing)
        if is_first:
            MetricTotal.add(counts)
    return batch.is_complete or not is_first
