"""The sizes and the time limit of a run, and its results so far."""

import random
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from time import monotonic, sleep

from tools.bench.baselines import Baselines
from tools.bench.report import Figure
from tools.bench.sandbox_process import SandboxProcess
from tools.bench.stack import Stack

POLL_SECONDS = 0.05
LEAST_SECONDS = 5.0  # a scenario with less time left is skipped


@dataclass(frozen=True, slots=True)
class Sizes:
    """Amounts. Seconds are the time in which alerts arrive, or the longest wait."""

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
    finish_seconds: float = 20.0  # until the last executions have started
    intake_senders: tuple[int, ...] = (1, 4, 16)
    intake_bodies: tuple[int, ...] = (1, 20)
    intake_seconds: float = 3.0
    busy_seconds: float = 60.0  # of intake without a pause
    baseline_seconds: float = 1.5
    chain_seconds: float = 8.0
    baseline_calls: int = 1_000
    baseline_calls_at_once: int = 10  # the default of ST2_MAX_CONCURRENT_REQUESTS


QUICK = Sizes(
    storm_alerts=40,
    storms_by_poll=False,
    idle_seconds=2.0,
    rest_rate=4.0,
    rest_seconds=4.0,
    half_seconds=2.0,
    steps_seconds=2.0,
    intake_seconds=0.7,
    busy_seconds=1.0,
    baseline_seconds=0.3,
    chain_seconds=2.0,
    baseline_calls=200,
)


class Clock:
    """The time limit for one database. ``kept``: seconds reserved for later scenarios."""

    def __init__(self, seconds: float) -> None:
        self.start = monotonic()
        self.seconds = seconds
        self.kept = 0.0

    @property
    def passed(self) -> float:
        """Seconds since the start."""
        return monotonic() - self.start

    @property
    def left(self) -> float:
        """Seconds until the limit."""
        return self.seconds - self.passed

    @property
    def spare(self) -> float:
        """Seconds left that no later scenario needs."""
        return self.left - self.kept


@dataclass(slots=True)
class Bench:
    """A run on one database and its results.

    ``other_sandbox``: for the baselines, since PoundCake follows all executions of its own sandbox.
    ``pace``: alerts per second processed to their end in the storm, 0 before the storm.
    """

    stack: Stack
    other_sandbox: SandboxProcess
    sizes: Sizes
    clock: Clock
    chance: random.Random
    execution_seconds: float  # duration of each execution in the sandbox
    figures: list[Figure]
    notes: list[str]
    baselines: Baselines = field(default_factory=Baselines)
    pace: float = 0.0

    def show(self, text: str) -> None:
        """Show the progress."""
        sys.stderr.write(f"{self.clock.passed:4.0f} s {self.stack.database.kind}: {text}\n")

    def note(self, text: str) -> None:
        """Add a note below the table."""
        self.notes.append(f"{self.stack.database.kind}: {text}")

    def has_time(self, name: str) -> bool:
        """Return whether there is time for a scenario; if not, note that it was skipped."""
        if self.clock.spare < LEAST_SECONDS:
            self.note(f"no time left for {name}")
            return False
        return True

    def wait(self, holds: Callable[[], bool], seconds: float) -> bool:
        """Wait until ``holds`` is true; return False after a timeout."""
        deadline = monotonic() + min(seconds, self.clock.left)
        while not holds():
            if monotonic() > deadline:
                return False
            sleep(POLL_SECONDS)
        return True
