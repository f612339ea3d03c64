"""The current totals, for ``/metrics``."""

from __future__ import annotations

from remediation import clock
from remediation.engine.totals.positions import uncounted
from remediation.engine.totals.transition_counts import counts_of
from remediation.models import MetricPosition, MetricTotal
from remediation.process_counts import Key

# Transitions that a scrape counts itself. The follow worker counts the others, so the totals lag
# only if it is dead or thousands of rows behind.
ROWS_MAX = 2_000
READS_MAX = 10


class TotalsInMotion(Exception):
    """The totals changed during each of READS_MAX reads."""


def current_totals() -> dict[Key, float]:
    """Return the totals including the transitions that are not counted yet.

    Each transition counts once: if the follow worker moves the position during the read, the read
    is repeated. Raises TotalsInMotion if it always moves.
    """
    for _ in range(READS_MAX):
        counted = MetricPosition.current()
        totals = MetricTotal.all()
        changes = uncounted(counted, at=clock.now(), most=ROWS_MAX).changes
        for key, amount in counts_of(changes).items():
            totals[key] = totals.get(key, 0.0) + amount
        if MetricPosition.current().version == counted.version:
            return totals
    raise TotalsInMotion(f"the totals changed during each of {READS_MAX} reads; scrape again")
