"""What goes wrong in ``make chaos``: processes die or stop, and StackStorm refuses calls."""

import os
import random
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from st2_sandbox import Sandbox
from tests.servers.processes import descendants

PROCESSES = ("gunicorn", "manage.py cluster", "manage.py worker")
FREEZE_SHARE = 0.5  # of the events; the others kill
WEATHER_SECONDS = 3.0  # that one kind of StackStorm's refusals lasts
FAIR: dict[str, Any] = {"refusal_status": 0, "retry_after": "", "unavailable": False}
WEATHER: tuple[dict[str, Any], ...] = (
    {},
    {},
    {"refusal_status": 429, "retry_after": "1"},
    {"refusal_status": 503},
    {"refusal_status": 502, "refusal_rate": 0.5},
    {"refusal_status": 504, "refusal_after": True},
    {"unavailable": True},
)


class Trouble:
    """Something that happens every few seconds, until the end is watched in peace."""

    def __init__(self, happen: Callable[[], None], calm: Callable[[], None]) -> None:
        self.count = 0
        self.done = threading.Event()
        self._happen, self._calm = happen, calm

    def run(self, seconds: float) -> None:
        """Let it happen every ``seconds`` until done, then put it right."""
        while not self.done.wait(seconds):
            self._happen()
            self.count += 1
        self._calm()


@contextmanager
def every(
    seconds: float, happen: Callable[[], None], calm: Callable[[], None] = lambda: None
) -> Iterator[Trouble]:
    """Have something happen beside the block."""
    trouble = Trouble(happen, calm)
    thread = threading.Thread(target=trouble.run, args=[seconds], daemon=True)
    thread.start()
    try:
        yield trouble
    finally:
        trouble.done.set()
        thread.join()


class Processes:
    """PoundCake's processes, of which one dies or one cluster is stopped for a while."""

    def __init__(self, chance: random.Random, *, freeze_seconds: float) -> None:
        """``freeze_seconds``: the longest stop, longer than a lease to be of interest."""
        self.chance = chance
        self.freeze_seconds = freeze_seconds
        self.kills = self.freezes = 0
        self._stopped: dict[int, float] = {}

    def disturb(self) -> None:
        """Kill a process or stop a cluster; let those go on that were stopped for long enough."""
        self._go_on(time.monotonic())
        pids = [pid for pid in descendants(os.getpid()) if _is_fair_game(pid)]
        if not pids:
            return
        pid = self.chance.choice(pids)
        if self.chance.random() < FREEZE_SHARE:
            self._freeze(pid)
        elif pid not in self._stopped:
            _signal(pid, signal.SIGKILL)
            self.kills += 1

    def go_on(self) -> None:
        """Let all that were stopped go on."""
        self._go_on(float("inf"))

    def _freeze(self, pid: int) -> None:
        family = [one for one in (pid, *descendants(pid)) if one not in self._stopped]
        until = time.monotonic() + self.chance.uniform(0.1, 1.0) * self.freeze_seconds
        for one in family:
            _signal(one, signal.SIGSTOP)
            self._stopped[one] = until
        self.freezes += bool(family)

    def _go_on(self, now: float) -> None:
        for pid in [pid for pid, until in self._stopped.items() if until <= now]:
            del self._stopped[pid]
            _signal(pid, signal.SIGCONT)


class Weather:
    """Refuses calls in one way after the other, and lets some pass in between."""

    def __init__(self, sandbox: Sandbox, chance: random.Random) -> None:
        self.sandbox = sandbox
        self.chance = chance

    def change(self) -> None:
        """Take the next kind."""
        usual = {"refusal_rate": 1.0, "refusal_after": False}
        self.sandbox.configure(**FAIR | usual | self.chance.choice(WEATHER))

    def clear_up(self) -> None:
        """Refuse nothing more."""
        self.sandbox.configure(**FAIR)


def _signal(pid: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, number)


def _is_fair_game(pid: int) -> bool:
    """Return whether another process starts this one again: not the outermost one."""
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
        parent = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1]
        of_parent = Path(f"/proc/{parent}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    except OSError:
        return False
    is_ours = any(name in words for name in PROCESSES)
    return is_ours and any(name in of_parent for name in PROCESSES)
