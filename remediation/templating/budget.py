"""What one rendering may take: time and size. Django's settings are given to ``configure``."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

from remediation.templating.errors import Refused

EXPRESSIONS_MAX = 1_000  # that the templates of one object of parameters may hold on save
SAVE_SECONDS = 2.0  # of processor time, to check the templates of all that is saved together


@dataclass(frozen=True, slots=True)
class Budget:
    """Limits of one rendering. ``seconds``: of processor time; ``max_bytes``: of its values."""

    seconds: float = 1.0
    max_bytes: int = 2**20

    @property
    def overrun(self) -> str:
        """Return the message for a rendering that took too long."""
        return f"takes longer than {self.seconds:g} s (TEMPLATE_TIMEOUT_SECONDS): make it simpler"


class Meter:
    """Add up the size of what one rendering makes, and refuse more than the budget."""

    def __init__(self, budget: Budget) -> None:
        self._max_bytes = budget.max_bytes
        self._left = budget.max_bytes

    def add(self, size: int) -> None:
        """Count ``size`` bytes. Raises Refused."""
        self._left -= size
        if self._left < 0:
            raise Refused(
                f"makes the parameters larger than {self._max_bytes} bytes (TEMPLATE_MAX_BYTES)"
            )


_budget = Budget()
_save: ContextVar["_Save | None"] = ContextVar("save", default=None)


def configure(*, seconds: float, max_bytes: int) -> None:
    """Set the limits of every rendering from now on."""
    global _budget
    _budget = Budget(seconds, max_bytes)


def current() -> Budget:
    """Return the limits that hold now."""
    return _budget


@contextmanager
def saving(seconds: float = SAVE_SECONDS) -> Iterator[None]:
    """Bound the checks of everything that is saved in this block; the outermost block counts."""
    if _save.get() is not None:
        yield
        return
    token = _save.set(_Save(seconds))
    try:
        yield
    finally:
        _save.reset(token)


def is_save_overdue() -> bool:
    """Return whether the checks of what is being saved have taken too long."""
    save = _save.get()
    return save is not None and save.is_overdue


def count_renderer(seconds: float) -> None:
    """Count the processor time of a renderer as time of what is being saved."""
    if save := _save.get():
        save.left -= seconds


class _Save:
    """The time that is left for the checks of one save, in this thread and in renderers."""

    def __init__(self, seconds: float) -> None:
        self.left = seconds
        self._begun = time.thread_time()

    @property
    def is_overdue(self) -> bool:
        """Whether it is used up."""
        return time.thread_time() - self._begun > self.left
