"""How much is measured, for how long at most, and what has been measured so far."""

import random
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from time import monotonic, sleep

from tools.bench.floors import Floors
from tools.bench.report import Figure
from tools.bench.stack import Stack, StubProcess

LOOK_SECONDS = 0.05
LEAST_SECONDS = 5.0  # in which anything can be done that says something


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much of everything. Seconds: how long alerts arrive, or the longest wait."""

    storm_alerts: int = 1_000
    storm_senders: int = 4
    storm_body: int = 20
    storm_seconds: float = 60.0  # for each step
    storms_by_poll: bool = True
    idle_seconds: float = 5.0
    rest_rate: float = 2.0  # alerts per second
    rest_seconds: float = 20.0
    half_seconds: float = 10.0
    steps_rate: float = 2.0
    steps_seconds: float = 8.0
    arrive_seconds: float = 20.0  # for the last ones to come through
    intake_senders: tuple[int, ...] = (1, 4, 16)
    intake_bodies: tuple[int, ...] = (1, 20)
    intake_seconds: float = 3.0
    floor_seconds: float = 1.5
    chain_seconds: float = 8.0
    floor_calls: int = 1_000
    floor_calls_at_once: int = 10  # the default of ST2_MAX_CONCURRENT_REQUESTS


QUICK = Sizes(
    storm_alerts=40,
    storms_by_poll=False,
    idle_seconds=2.0,
    rest_rate=4.0,
    rest_seconds=4.0,
    half_seconds=2.0,
    steps_seconds=2.0,
    intake_seconds=0.7,
    floor_seconds=0.3,
    chain_seconds=2.0,
    floor_calls=200,
)


class Clock:
    """The time for one database. ``kept``: the seconds of it that what comes later needs."""

    def __init__(self, seconds: float) -> None:
        self.start = monotonic()
        self.seconds = seconds
        self.kept = 0.0

    @property
    def passed(self) -> float:
        """The seconds since the start."""
        return monotonic() - self.start

    @property
    def left(self) -> float:
        """The seconds until the end."""
        return self.seconds - self.passed

    @property
    def spare(self) -> float:
        """The seconds that nothing else needs."""
        return self.left - self.kept


@dataclass(slots=True)
class Bench:
    """One database: what is measured on it, with what, and what came of it.

    ``other_stub``: for the floors; PoundCake would hear of every execution of its own one.
    ``pace``: alerts per second that came through to their end, 0 before that is known.
    """

    stack: Stack
    other_stub: StubProcess
    sizes: Sizes
    clock: Clock
    chance: random.Random
    stub_seconds: float  # that each execution of the stub takes
    figures: list[Figure]
    notes: list[str]
    floors: Floors = field(default_factory=Floors)
    pace: float = 0.0

    def say(self, words: str) -> None:
        """Tell whoever waits what is being done."""
        sys.stderr.write(f"{self.clock.passed:4.0f} s {self.stack.database.kind}: {words}\n")

    def note(self, words: str) -> None:
        """Keep what a reader of the figures has to know."""
        self.notes.append(f"{self.stack.database.kind}: {words}")

    def has_time(self, name: str) -> bool:
        """Tell whether it is worth while to begin something; if not, keep that it was left out."""
        if self.clock.spare < LEAST_SECONDS:
            self.note(f"no time was left for {name}")
            return False
        return True

    def wait(self, holds: Callable[[], bool], seconds: float) -> bool:
        """Wait until it holds; return False when it does not in time."""
        until = monotonic() + min(seconds, self.clock.left)
        while not holds():
            if monotonic() > until:
                return False
            sleep(LOOK_SECONDS)
        return True
