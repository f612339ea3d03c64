"""What an operation costs on the short history and on the long one, turn by turn."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from statistics import median, quantiles
from typing import Any

from django.db import connection

from tools.growth.history import DATABASES, use

LIMIT = 1.2  # times; design.md, section 10
ROWS_TOLERATED = 2_000  # more that are read are no growth: a bounded look into an index, 1 ms
TRIES = 3  # of what is over the limit, each with twice as many turns: the machine may be busy
WARM_UP = 3


@dataclass(frozen=True, slots=True)
class Operation:
    """Something to measure. ``prepare`` is not: what it returns is handed to ``act``."""

    group: str
    name: str
    act: Callable[[Any], object]
    prepare: Callable[[], Any] = lambda: None


@dataclass(slots=True)
class Cost:
    """What an operation took in each database: seconds, and rows that the server read."""

    operation: Operation
    seconds: dict[str, list[float]] = field(default_factory=lambda: {d: [] for d in DATABASES})
    rows: dict[str, list[int]] = field(default_factory=lambda: {d: [] for d in DATABASES})

    def milliseconds(self, database: str) -> float:
        """Return the first quartile: what else the machine does only ever adds to the time."""
        return quantiles(self.seconds[database], method="inclusive")[0] * 1_000

    def rows_read(self, database: str) -> int:
        """Return the median."""
        return int(median(self.rows[database]))

    @property
    def ratio(self) -> float:
        """How many times as long it takes on the long history."""
        small, big = DATABASES
        return self.milliseconds(big) / self.milliseconds(small)

    @property
    def rows_ratio(self) -> float:
        """How many times as many rows are read, a few more or less left out."""
        small, big = DATABASES
        return (self.rows_read(big) + 1) / (self.rows_read(small) + 1)

    @property
    def is_flat(self) -> bool:
        """Whether it is within the limit."""
        small, big = DATABASES
        more = self.rows_read(big) - self.rows_read(small)
        return self.ratio <= LIMIT and (self.rows_ratio <= LIMIT or more <= ROWS_TOLERATED)


def measure(operations: Sequence[Operation], *, turns: int) -> list[Cost]:
    """Return what they cost, each measured in both databases, one turn after the other."""
    costs = []
    for operation in operations:
        for attempt in range(TRIES):
            cost = _measure(operation, turns=turns * 2**attempt)
            if cost.is_flat:
                break
        costs.append(cost)
    return costs


def _measure(operation: Operation, *, turns: int) -> Cost:
    cost = Cost(operation)
    for turn in range(WARM_UP + turns):
        # Who comes first changes: what one leaves behind in memory meets both.
        for database in DATABASES if turn % 2 else reversed(DATABASES):
            use(database)
            given = operation.prepare()
            before = _rows_read()
            begin = time.perf_counter()
            operation.act(given)
            seconds = time.perf_counter() - begin
            if turn >= WARM_UP:
                cost.seconds[database].append(seconds)
                cost.rows[database].append(_rows_read() - before)
    return cost


def _rows_read() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SHOW SESSION STATUS LIKE 'Handler_read%'")
        return sum(int(count) for _, count in cursor.fetchall())
