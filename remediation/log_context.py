"""The fields of the current request or row, which every log line carries, and the process's role.

The values are those of the thread: a thread that handles a row binds them itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from types import MappingProxyType

_fields: ContextVar[Mapping[str, object]] = ContextVar("_fields", default=MappingProxyType({}))
_role = "command"


@contextmanager
def bind(**fields: object) -> Iterator[None]:
    """Add fields, such as ``run=5``, to the log lines of the block."""
    token = _fields.set({**_fields.get(), **fields})
    try:
        yield
    finally:
        _fields.reset(token)


def fields() -> Mapping[str, object]:
    """Return the fields of the current block."""
    return _fields.get()


def set_role(role: str) -> None:
    """Set the role of this process and of its later forks, such as ``web`` or ``launch``."""
    global _role
    _role = role


def role() -> str:
    """Return the role of this process."""
    return _role
