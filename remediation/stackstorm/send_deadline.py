"""Refuse to send a request after its deadline, checked right before bytes are sent."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar


class TooLateToSend(Exception):
    """The request was not sent completely, so StackStorm cannot have acted on it."""


_is_too_late: ContextVar[Callable[[], bool] | None] = ContextVar("is_too_late", default=None)


@contextmanager
def unless_too_late(is_too_late: Callable[[], bool]) -> Iterator[None]:
    """Send the requests of this block only while ``is_too_late`` returns False.

    It is called each time before bytes are sent on an established connection; otherwise
    TooLateToSend is raised. A process that is frozen after the call still sends.
    """
    token = _is_too_late.set(is_too_late)
    try:
        yield
    finally:
        _is_too_late.reset(token)


def check() -> None:
    """Raise TooLateToSend after the deadline."""
    is_too_late = _is_too_late.get()
    if is_too_late is not None and is_too_late():
        raise TooLateToSend("not sent: the deadline has passed")
