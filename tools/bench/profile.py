"""Timers patched around functions, to measure the stages of the work.

The time of a stage is the time in its functions, without the time in functions of other stages that
they call. CPU time is per thread, so parallel work counts for the stage that does it.
"""

import functools
import importlib
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

WORK = ("SELECT", "INSERT", "UPDATE", "DELETE", "WITH")  # not BEGIN and COMMIT
NO_STAGE = ""


class StageFunctionMissing(Exception):
    """A function of a stage does not exist: it was renamed or removed."""


@dataclass(slots=True)
class Use:
    """Seconds, calls and SQL statements."""

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
    """Sums up the use of the stages, by the current phase.

    ``cpu``: CPU seconds of the process inside ``measured`` blocks.
    """

    def __init__(self) -> None:
        self.phase = NO_STAGE
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
        """Count only inside of this block."""
        start, self._is_on = time.process_time(), True
        try:
            yield
        finally:
            self._is_on = False
            self.cpu += time.process_time() - start

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Count the time of this block for a stage, without other stages inside."""
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
        """Count a statement for the current stage; an execute wrapper of Django."""
        frames = self._frames()
        if self._is_on and sql.lstrip(" (").upper().startswith(WORK):
            with self._lock:
                stage = frames[-1].stage if frames else NO_STAGE
                self.stages.setdefault((self.phase, stage), Use()).statements += 1
        return execute(sql, *arguments)

    @contextmanager
    def wrapped(self, stages: Mapping[str, Sequence[str]]) -> Iterator[None]:
        """Time the functions of these stages, given by dotted names, inside of the block."""
        with ExitStack() as undo:
            for stage, names in stages.items():
                for name in names:
                    owner, attribute, function = find_function(name)
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


def find_function(name: str) -> tuple[Any, str, Callable[..., Any]]:
    """Return the module or class of a function, the name of its attribute, and the function.

    Raises StageFunctionMissing.
    """
    parts = name.split(".")
    for end in range(len(parts) - 1, 0, -1):
        try:
            owner: Any = importlib.import_module(".".join(parts[:end]))
        except ModuleNotFoundError:
            continue
        for part in parts[end:-1]:
            owner = getattr(owner, part, None)
        function = getattr(owner, parts[-1], None)
        if not callable(function):
            break
        return owner, parts[-1], function
    raise StageFunctionMissing(f"{name} is no function; update STAGES in tools/bench/stages.py")
