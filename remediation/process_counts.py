"""Counts of this process that wait to be added to the totals in the database.

A count costs a lock and a dictionary entry, never a statement, so the hot path and failing
database calls can be counted. ``engine.totals.flush`` adds the counts to the database.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from threading import Lock

Labels = tuple[tuple[str, str], ...]
Key = tuple[str, Labels]

# Names of the parts of a histogram, and the label of the upper bound of an observation's bucket.
BUCKET, SUM, BOUND = "_bucket", "_sum", "le"
INFINITE = "+Inf"


@dataclass(frozen=True, slots=True, kw_only=True)
class Counter:
    """A counter. ``name`` ends in ``_total``."""

    name: str
    help: str
    labels: tuple[str, ...] = ()

    def add(self, amount: float = 1.0, **labels: str) -> None:
        """Count in this process."""
        _add({(self.name, _ordered(labels)): amount})


@dataclass(frozen=True, slots=True, kw_only=True)
class Histogram:
    """A histogram of seconds. ``bounds``: the upper bounds of its buckets, without infinity."""

    name: str
    help: str
    bounds: tuple[float, ...]
    labels: tuple[str, ...] = ()

    def observe(self, seconds: float, **labels: str) -> None:
        """Count an observation in this process."""
        _add(self.parts(seconds, **labels))

    def parts(self, seconds: float, **labels: str) -> dict[Key, float]:
        """Return what one observation adds: 1 to its own bucket, which is not cumulative."""
        bound = next((str(bound) for bound in self.bounds if seconds <= bound), INFINITE)
        return {
            (self.name + BUCKET, _ordered({**labels, BOUND: bound})): 1.0,
            (self.name + SUM, _ordered(labels)): max(seconds, 0.0),
        }


@dataclass(slots=True)
class _Waiting:
    """The counts of this process. A forked process begins with none: its parent has them."""

    counts: dict[Key, float] = field(default_factory=dict)
    lock: Lock = field(default_factory=Lock)
    is_started: bool = False


_waiting = _Waiting()
_start: Callable[[], object] | None = None


def call_on_first_count(start: Callable[[], object]) -> None:
    """Call ``start`` at the first count of this process and of each process forked from it."""
    global _start
    _start = start


def take() -> dict[Key, float]:
    """Return the counts and reset them."""
    with _waiting.lock:
        counts, _waiting.counts = _waiting.counts, {}
    return counts


def waiting(counter: Counter, **labels: str) -> float:
    """Return what waits to be added to a counter."""
    return _waiting.counts.get((counter.name, _ordered(labels)), 0.0)


def give_back(counts: Mapping[Key, float]) -> None:
    """Add counts that could not be stored."""
    _add(counts)


def _add(counts: Mapping[Key, float]) -> None:
    waiting = _waiting
    with waiting.lock:
        for key, amount in counts.items():
            waiting.counts[key] = waiting.counts.get(key, 0.0) + amount
        is_first, waiting.is_started = not waiting.is_started, True
    if is_first and _start:
        _start()


def _ordered(labels: Mapping[str, str]) -> Labels:
    return tuple(sorted(labels.items()))


def _forget() -> None:
    global _waiting
    # A new lock too: another thread of the parent may hold the old one.
    _waiting = _Waiting()


os.register_at_fork(after_in_child=_forget)
