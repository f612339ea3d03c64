"""Timers around functions, from outside: what each stage of the work takes, and only it.

A stage is the time in its functions without the time in those of other stages that they call. CPU
time is that of the thread, so what runs side by side is counted where it is done.
"""

import functools
import importlib
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

WORK = ("SELECT", "INSERT", "UPDATE", "DELETE", "WITH")  # not what begins or ends transactions
NOWHERE = ""  # the stage of what is done outside of all


class StageGone(Exception):
    """A function of a stage is not there any more: somebody has to look where it went."""


@dataclass(slots=True)
class Use:
    """What has been used, in seconds, and how often the database was asked for something."""

    cpu: float = 0.0
    wall: float = 0.0
    calls: int = 0
    statements: int = 0


@dataclass(slots=True)
class _Frame:
    stage: str
    cpu: float
    wall: float
    inner_cpu: float = 0.0
    inner_wall: float = 0.0


class Profile:
    """Sums up what the stages use, by phase: the one that is on when it is used.

    ``cpu``: of the whole process while it is ``measured``.
    """

    def __init__(self) -> None:
        self.phase = NOWHERE
        self.stages: dict[tuple[str, str], Use] = {}
        self.cpu = 0.0
        self._is_on = False
        self._here = threading.local()
        self._lock = threading.Lock()

    @property
    def attributed(self) -> float:
        """The CPU seconds of all stages."""
        return sum(use.cpu for use in self.stages.values())

    @contextmanager
    def measured(self) -> Iterator[None]:
        """Count what this block does; all else is preparation."""
        began, self._is_on = time.process_time(), True
        try:
            yield
        finally:
            self._is_on = False
            self.cpu += time.process_time() - began

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Count this block to a stage, less what it does of other stages."""
        frames = self._frames()
        frame = _Frame(name, time.thread_time(), time.perf_counter())
        frames.append(frame)
        try:
            yield
        finally:
            cpu, wall = time.thread_time() - frame.cpu, time.perf_counter() - frame.wall
            frames.pop()
            if frames:
                frames[-1].inner_cpu += cpu
                frames[-1].inner_wall += wall
            if self._is_on:
                self._add(name, cpu - frame.inner_cpu, wall - frame.inner_wall)

    def count(self, execute: Callable[..., Any], sql: str, *arguments: Any) -> Any:
        """Count a statement to the stage that sends it: a wrapper for Django's connections."""
        frames = self._frames()
        if self._is_on and sql.lstrip(" (").upper().startswith(WORK):
            with self._lock:
                stage = frames[-1].stage if frames else NOWHERE
                self.stages.setdefault((self.phase, stage), Use()).statements += 1
        return execute(sql, *arguments)

    @contextmanager
    def wrapped(self, stages: Mapping[str, Sequence[str]]) -> Iterator[None]:
        """Time the functions of these stages, by their dotted names, while the block lasts."""
        with ExitStack() as undo:
            for stage, names in stages.items():
                for name in names:
                    owner, attribute, function = found(name)
                    undo.callback(setattr, owner, attribute, function)
                    setattr(owner, attribute, self._timed(function, stage))
            yield

    def _timed(self, function: Callable[..., Any], stage: str) -> Callable[..., Any]:
        @functools.wraps(function)
        def timed(*arguments: Any, **named: Any) -> Any:
            with self.stage(stage):
                return function(*arguments, **named)

        return timed

    def _frames(self) -> list[_Frame]:
        if not hasattr(self._here, "frames"):
            self._here.frames = []
        frames: list[_Frame] = self._here.frames
        return frames

    def _add(self, name: str, cpu: float, wall: float) -> None:
        with self._lock:
            use = self.stages.setdefault((self.phase, name), Use())
            use.cpu += cpu
            use.wall += wall
            use.calls += 1


def found(name: str) -> tuple[Any, str, Callable[..., Any]]:
    """Return the module or class that holds a function, the function's name in it, and itself.

    Raises StageGone if there is no such function.
    """
    words = name.split(".")
    for end in range(len(words) - 1, 0, -1):
        try:
            owner: Any = importlib.import_module(".".join(words[:end]))
        except ModuleNotFoundError:
            continue
        for word in words[end:-1]:
            owner = getattr(owner, word, None)
        function = getattr(owner, words[-1], None)
        if not callable(function):
            break
        return owner, words[-1], function
    raise StageGone(f"{name} is no function any more: name its successor in tools.bench.stages")
