"""Retry a transaction after a deadlock, a lock timeout or a unique conflict."""

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
# MariaDB: the record has changed since it was read. Our own checks raise it too.
ROW_CHANGED = 1020
# MariaDB: deadlock, lock wait timeout.
TRANSIENT_CODES = {1213, 1205, ROW_CHANGED}
DUPLICATE_CODE = 1062
# MariaDB: connection closed (idle for wait_timeout, server restarted, packet too large), lost or
# killed, server shutting down.
DISCONNECTED_CODES = {2006, 2013, 1927, 1053, 4031}

Result = TypeVar("Result")


def retry_on_conflict(
    fn: Callable[[], Result],
    *,
    description: str,
    before_retry: Callable[[], object] = lambda: None,
) -> Result:
    """Return ``fn()``, which is one transaction; retry it after a conflict with another process.

    Reconnects first if the database closed the connection. ``description`` names the transaction
    in the log. ``before_retry`` reloads the objects that ``fn`` changed. Raises DatabaseError or
    InterfaceError for any other error, and after TRIES attempts.
    """
    for left in reversed(range(TRIES)):
        try:
            return fn()
        except (DatabaseError, InterfaceError) as error:
            # Reconnecting inside a caller's transaction would lose its earlier statements.
            is_lost = is_disconnected(error) and not connection.in_atomic_block
            if not left or not (is_lost or is_transient(error)):
                raise
            if is_lost:
                connection.close()
            logger.info("%s is retried: %s", description, error)
            time.sleep(random.uniform(0.005, 0.05) * (TRIES - left))  # noqa: S311 - jitter only
            before_retry()
    raise AssertionError("unreachable")


def is_transient(error: Error) -> bool:
    """Return whether a retry of the same transaction can succeed."""
    if isinstance(error, IntegrityError):
        # Another process inserted the same row first. Other constraints would fail again.
        return error.args[:1] == (DUPLICATE_CODE,) or "UNIQUE constraint" in str(error)
    return is_locked(error)


def is_locked(error: Exception) -> bool:
    """Return whether the error is a deadlock, a lock timeout or a concurrent change."""
    code = error.args[0] if error.args else None
    return isinstance(error, OperationalError) and (
        code in TRANSIENT_CODES or "locked" in str(error)
    )


def is_disconnected(error: Error) -> bool:
    """Return whether the connection to the database is lost."""
    code = error.args[0] if error.args else None
    if isinstance(error, InterfaceError):
        # mysqlclient's error for a connection that was closed on the client side.
        return code == 0
    return isinstance(error, OperationalError) and code in DISCONNECTED_CODES
