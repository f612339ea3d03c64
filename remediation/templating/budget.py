"""Time and size limits of rendering. ``configure`` sets them from Django's settings."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

from remediation.templating.errors import Refused

EXPRESSIONS_MAX = 1_000  # in all templates of one parameters object, on save
SAVE_SECONDS = 2.0  # CPU time to check all templates that are saved together


@dataclass(frozen=True, slots=True)
class Budget:
    """Limits of one rendering. ``seconds``: CPU time; ``max_bytes``: total size of the values."""

    seconds: float = 1.0
    max_bytes: int = 2**20

    @property
    def timeout_message(self) -> str:
        """Return the error message of a rendering that took too long."""
        return f"takes longer than {self.seconds:g} s (TEMPLATE_TIMEOUT_SECONDS): make it simpler"


class SizeMeter:
    """Add up the size of the rendered values, and refuse more than the budget."""

    def __init__(self, budget: Budget) -> None:
        self._max_bytes = budget.max_bytes
        self._bytes_left = budget.max_bytes

    def add(self, size: int) -> None:
        """Count ``size`` bytes; raise Refused if the budget is exceeded."""
        self._bytes_left -= size
        if self._bytes_left < 0:
            raise Refused(
                f"makes the parameters larger than {self._max_bytes} bytes (TEMPLATE_MAX_BYTES)"
            )


_budget = Budget()
_save_timer: ContextVar["_SaveTimer | None"] = ContextVar("save_timer", default=None)


def configure(*, seconds: float, max_bytes: int) -> None:
    """Set the limits of all further renderings."""
    global _budget
    _budget = Budget(seconds, max_bytes)


def current() -> Budget:
    """Return the current limits."""
    return _budget


@contextmanager
def save_time_limit(seconds: float = SAVE_SECONDS) -> Iterator[None]:
    """Limit the time for all template checks in this block. The outermost block counts."""
    if _save_timer.get() is not None:
        yield
        return
    token = _save_timer.set(_SaveTimer(seconds))
    try:
        yield
    finally:
        _save_timer.reset(token)


def is_save_overdue() -> bool:
    """Return whether the checks of the current save have exceeded their time."""
    save = _save_timer.get()
    return save is not None and save.is_overdue


def add_renderer_time(seconds: float) -> None:
    """Add CPU time of a renderer to the time of the current save."""
    if save := _save_timer.get():
        save.seconds_left -= seconds


class _SaveTimer:
    """The CPU time left for the checks of one save, in this thread and in renderers."""

    def __init__(self, seconds: float) -> None:
        self.seconds_left = seconds
        self._begun = time.thread_time()

    @property
    def is_overdue(self) -> bool:
        return time.thread_time() - self._begun > self.seconds_left
