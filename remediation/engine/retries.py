"""Repeat a whole transaction when another process was in its way."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable
from typing import TypeVar

from django.db import (
    DatabaseError,
    Error,
    IntegrityError,
    InterfaceError,
    OperationalError,
    connection,
)

logger = logging.getLogger(__name__)

TRIES = 8
ROW_CHANGED = 1020  # MariaDB: since it was read; our own checks raise it too
# MariaDB: deadlock, lock wait time-out.
TRANSIENT_CODES = {1213, 1205, ROW_CHANGED}
DUPLICATE_CODE = 1062
# MariaDB: closed (idle for wait_timeout, restarted, packet too large), lost, killed, shutting down.
DISCONNECTED_CODES = {2006, 2013, 1927, 1053, 4031}

Result = TypeVar("Result")


def repeated(
    work: Callable[[], Result],
    *,
    what: str,
    afresh: Callable[[], object] = lambda: None,
) -> Result:
    """Return what ``work``, which is one transaction, returns; do it again after a lost race.

    A connection that the database closed is opened again first. ``afresh`` is called before it is
    done again, to read anew what it works on. Raises DatabaseError or InterfaceError for anything
    else, or after as many tries as there are.
    """
    for left in reversed(range(TRIES)):
        try:
            return work()
        except (DatabaseError, InterfaceError) as error:
            # Inside a caller's transaction a new connection would lose what was done before.
            is_lost = is_disconnected(error) and not connection.in_atomic_block
            if not left or not (is_lost or is_transient(error)):
                raise
            if is_lost:
                connection.close()
            logger.info("%s is repeated: %s", what, error)
            time.sleep(random.uniform(0.005, 0.05) * (TRIES - left))  # noqa: S311
            afresh()
    raise AssertionError("unreachable")


def is_transient(error: Error) -> bool:
    """Return whether the same transaction can succeed when it is repeated."""
    if isinstance(error, IntegrityError):
        # Another process made the same row first. What breaks another rule does so each time.
        return error.args[:1] == (DUPLICATE_CODE,) or "UNIQUE constraint" in str(error)
    return is_locked(error)


def is_locked(error: Error) -> bool:
    """Return whether another transaction was in the way."""
    code = error.args[0] if error.args else None
    return isinstance(error, OperationalError) and (
        code in TRANSIENT_CODES or "locked" in str(error)
    )


def is_disconnected(error: Error) -> bool:
    """Return whether the connection to the database is gone."""
    code = error.args[0] if error.args else None
    if isinstance(error, InterfaceError):
        # mysqlclient says so of a connection that was closed on this side.
        return code == 0
    return isinstance(error, OperationalError) and code in DISCONNECTED_CODES
