"""Measure an operation on the short and on the long history, in turns."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from statistics import median, quantiles
from typing import Any

from django.db import connection

from tools.growth.history import DATABASES, use

LIMIT = 1.2  # times as long, or as many rows
ROWS_TOLERATED = 2_000  # additional rows that are no growth: a bounded index scan, 1 ms
TRIES = 3  # for an operation over the limit, with twice the turns: the machine may be busy
WARM_UP = 3


@dataclass(frozen=True, slots=True)
class Operation:
    """An operation. ``act`` is measured and gets the return value of ``prepare``."""

    group: str
    name: str
    act: Callable[[Any], object]
    prepare: Callable[[], Any] = lambda: None


@dataclass(slots=True)
class Cost:
    """Seconds and rows read of an operation, by database."""

    operation: Operation
    seconds: dict[str, list[float]] = field(default_factory=lambda: {d: [] for d in DATABASES})
    rows: dict[str, list[int]] = field(default_factory=lambda: {d: [] for d in DATABASES})

    def milliseconds(self, database: str) -> float:
        """Return the first quartile: other load only adds time."""
        return quantiles(self.seconds[database], method="inclusive")[0] * 1_000

    def rows_read(self, database: str) -> int:
        """Return the median."""
        return int(median(self.rows[database]))

    @property
    def ratio(self) -> float:
        """How many times as long it takes with the long history."""
        small, big = DATABASES
        return self.milliseconds(big) / self.milliseconds(small)

    @property
    def rows_ratio(self) -> float:
        """How many times as many rows it reads with the long history."""
        small, big = DATABASES
        return (self.rows_read(big) + 1) / (self.rows_read(small) + 1)

    @property
    def is_flat(self) -> bool:
        """Whether it is within the limit."""
        small, big = DATABASES
        more = self.rows_read(big) - self.rows_read(small)
        return self.ratio <= LIMIT and (self.rows_ratio <= LIMIT or more <= ROWS_TOLERATED)


def measure(operations: Sequence[Operation], *, turns: int) -> list[Cost]:
    """Return the costs of operations, measured in both databases."""
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
        # The order alternates, so cache effects hit both databases.
        for database in DATABASES if turn % 2 else reversed(DATABASES):
            use(database)
            prepared = operation.prepare()
            before = _rows_read()
            start = time.perf_counter()
            operation.act(prepared)
            seconds = time.perf_counter() - start
            if turn >= WARM_UP:
                cost.seconds[database].append(seconds)
                cost.rows[database].append(_rows_read() - before)
    return cost


def _rows_read() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SHOW SESSION STATUS LIKE 'Handler_read%'")
        return sum(int(count) for _, count in cursor.fetchall())
