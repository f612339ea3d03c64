"""The faults of ``make chaos``: processes die or stop, and StackStorm refuses calls."""

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

CLUSTERS = ("launch", "follow", "local")
FREEZE_SHARE = 0.5  # of the lost processes; the others are killed
NO_REFUSALS: dict[str, Any] = {"refusal_status": 0, "retry_after": "", "unavailable": False}
REFUSALS: tuple[dict[str, Any], ...] = (
    {},
    {},
    {"refusal_status": 429, "retry_after": "1"},
    {"refusal_status": 503},
    {"refusal_status": 502, "refusal_rate": 0.5},
    {"refusal_status": 504, "refusal_after": True},
    {"unavailable": True},
)


class RepeatedEvent:
    """Something that happens every few seconds until ``done`` is set."""

    def __init__(self, act: Callable[[], None], undo: Callable[[], None]) -> None:
        self.count = 0
        self.done = threading.Event()
        self._act, self._undo = act, undo

    def run(self, seconds: float) -> None:
        """Act every ``seconds`` until done, then undo it."""
        while not self.done.wait(seconds):
            self._act()
            self.count += 1
        self._undo()


@contextmanager
def every(
    seconds: float, act: Callable[[], None], undo: Callable[[], None] = lambda: None
) -> Iterator[RepeatedEvent]:
    """Act every ``seconds`` in a thread while the block runs."""
    event = RepeatedEvent(act, undo)
    thread = threading.Thread(target=event.run, args=[seconds], daemon=True)
    thread.start()
    try:
        yield event
    finally:
        event.done.set()
        thread.join()


class Processes:
    """Kills processes of PoundCake and stops clusters for a while."""

    def __init__(self, chance: random.Random, *, freeze_seconds: float) -> None:
        """``freeze_seconds``: the longest stop; it should exceed a lease."""
        self.chance = chance
        self.freeze_seconds = freeze_seconds
        self.kills = self.freezes = 0
        self._stopped: dict[int, float] = {}

    def disturb(self) -> None:
        """Kill a process or stop a cluster; resume those whose time is over."""
        self._resume(time.monotonic())
        pids = [pid for pid in descendants(os.getpid()) if _is_restarted(pid)]
        if not pids:
            return
        pid = self.chance.choice(pids)
        if self.chance.random() < FREEZE_SHARE:
            self._freeze(pid)
        elif pid not in self._stopped:
            _signal(pid, signal.SIGKILL)
            self.kills += 1

    def resume(self) -> None:
        """Resume all stopped processes."""
        self._resume(float("inf"))

    def _freeze(self, pid: int) -> None:
        family = [one for one in (pid, *descendants(pid)) if one not in self._stopped]
        resume_at = time.monotonic() + self.chance.uniform(0.1, 1.0) * self.freeze_seconds
        for one in family:
            _signal(one, signal.SIGSTOP)
            self._stopped[one] = resume_at
        self.freezes += bool(family)

    def _resume(self, now: float) -> None:
        for pid in [pid for pid, at in self._stopped.items() if at <= now]:
            del self._stopped[pid]
            _signal(pid, signal.SIGCONT)


class Refusals:
    """Makes the sandbox refuse calls, in one way after the other, or not at all."""

    def __init__(self, sandbox: Sandbox, chance: random.Random) -> None:
        self.sandbox = sandbox
        self.chance = chance

    def change(self) -> None:
        """Choose the next kind at random."""
        usual = {"refusal_rate": 1.0, "refusal_after": False}
        self.sandbox.configure(**NO_REFUSALS | usual | self.chance.choice(REFUSALS))

    def stop(self) -> None:
        """Refuse no more calls."""
        self.sandbox.configure(**NO_REFUSALS)


def _signal(pid: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, number)


def _is_restarted(pid: int) -> bool:
    """Return whether a parent process of ours restarts this one."""
    try:
        name = Path(f"/proc/{pid}/comm").read_text().strip()
        parent = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1]
        parent_name = Path(f"/proc/{parent}/comm").read_text().strip()
    except OSError:
        return False
    return name in CLUSTERS or name == parent_name == "web"
