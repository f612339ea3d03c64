"""Keep a request from being sent when it is too late for it, at the last moment before it is."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar


class TooLateToSend(Exception):
    """The request was not sent, or not completely, so StackStorm cannot have acted on it."""


_is_too_late: ContextVar[Callable[[], bool] | None] = ContextVar("is_too_late", default=None)


@contextmanager
def unless_too_late(is_too_late: Callable[[], bool]) -> Iterator[None]:
    """Send the requests of this block only while ``is_too_late`` returns False.

    It is asked each time bytes are about to leave on a connection that is established. What is
    not sent raises TooLateToSend. Whoever is stopped after that question sends all the same.
    """
    token = _is_too_late.set(is_too_late)
    try:
        yield
    finally:
        _is_too_late.reset(token)


def check() -> None:
    """Raise TooLateToSend if it is too late."""
    is_too_late = _is_too_late.get()
    if is_too_late is not None and is_too_late():
        raise TooLateToSend("not sent: its time was over")
