"""Store several rows in one transaction, and row by row if that transaction fails.

One row that the database refuses must not delay the others of its batch. A row that also fails
alone gets the reason recorded on it.
"""

from __future__ import annotations

import datetime
import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from typing import TypeVar

from django.db import DatabaseError, Error, InterfaceError, OperationalError, connection

from remediation import clock, log_context
from remediation.engine import problems
from remediation.engine.secret_values import known_secrets
from remediation.engine.transaction_retries import is_disconnected, is_locked, retry_on_conflict
from remediation.models import ActionExecution, IllegalTransitionError
from remediation.redaction import mask_text
from remediation.values.text import fit_text

logger = logging.getLogger(__name__)

# The delay before a row that could not be handled is tried again.
POSTPONED_FOR = datetime.timedelta(minutes=5)
REASON_LENGTH = 300  # characters, of an error in a row's reason
# MariaDB: disk or table full, read-only, server unreachable, too many connections, access denied.
_OUTAGE_CODES = {1021, 1114, 1036, 1290, 1792, 1836, 1040, 1044, 1045, 1049, 2002, 2003, 2005}
# SQLite errors have no codes.
_OUTAGE_TEXTS = ("readonly database", "disk is full", "disk I/O error", "unable to open database")

Item = TypeVar("Item")
Result = TypeVar("Result")


def run_batch(
    items: Sequence[Item],
    store_all: Callable[[Sequence[Item]], Result],
    *,
    description: str,
    on_failure: Callable[[Item, Exception], object],
    before_retry: Callable[[Item], object] = lambda _: None,
) -> list[Result]:
    """Call ``store_all``, which is one transaction, with all items; if it fails, with each alone.

    ``on_failure`` records, in its own transaction, why one item cannot be stored. ``before_retry``
    reloads the fields of an item that a failed transaction changed in memory. Returns the result
    of each successful call. Raises DatabaseError if a lock persists or the database stores nothing.
    """
    if len(items) > 1:
        try:
            return [_retry_on_conflict(store_all, items, description, before_retry)]
        except Exception as error:
            if is_outage(error):
                raise
            logger.warning("%s is retried row by row: %s", description, error)
        for item in items:
            before_retry(item)

    def record_failure(item: Item, error: Exception) -> None:
        before_retry(item)
        on_failure(item, error)

    results = []
    for item in items:
        with isolate(item, description=description, on_failure=record_failure):
            results.append(_retry_on_conflict(store_all, [item], description, before_retry))
    return results


@contextmanager
def isolate(
    item: Item,
    *,
    description: str,
    on_failure: Callable[[Item, Exception], object],
    job: str = "storage",
) -> Iterator[None]:
    """Catch an error in the block, report it as a problem of ``job``, call ``on_failure``.

    Raises DatabaseError if a lock persists or the database stores nothing.
    """
    with log_fields(item):
        try:
            yield
        except Exception as error:
            if is_outage(error):
                raise
            logger.exception("%s failed for %s.", description, item)
            problems.report(job, error, subject=str(_row(item)))
            _record_failure(item, error, on_failure)


def log_fields(item: object) -> AbstractContextManager[None]:
    """Return a block whose log lines name the row that an item belongs to, and its request."""
    row = _row(item)
    if not isinstance(row, ActionExecution):
        return nullcontext()
    return log_context.bind(request_id=row.request_id, run=row.run_id, execution=row.pk)


def postpone(row: ActionExecution, error: Exception) -> None:
    """Make an execution that could not be handled due later, with the error as its message."""
    open_row = ActionExecution.objects.filter(pk=row.pk).exclude(status__in=ActionExecution.FINAL)
    open_row.update(due_at=clock.now() + POSTPONED_FOR, error_message=reason_for(error))


def reload_status(row: ActionExecution) -> None:
    """Reload the status, which a failed transaction changed in memory only."""
    row.refresh_from_db(fields=["status"])


def reason_for(error: Exception) -> str:
    """Return the error as a reason for operators, without secrets and cut to REASON_LENGTH."""
    text = mask_text(f"{type(error).__name__}: {error}", known_secrets())
    return fit_text(f"PoundCake could not record it: {text}", length=REASON_LENGTH)


def is_outage(error: Exception) -> bool:
    """Return whether the database failed as such, and not because of one row."""
    if not isinstance(error, Error):
        return False
    if is_disconnected(error):
        # A statement that is too large also ends the connection; then a new one works.
        return connection.in_atomic_block or not _can_connect()
    code = error.args[0] if error.args else None
    has_outage_text = any(text in str(error) for text in _OUTAGE_TEXTS)
    return isinstance(error, DatabaseError) and (
        is_locked(error) or code in _OUTAGE_CODES or has_outage_text
    )


def _retry_on_conflict(
    store_all: Callable[[Sequence[Item]], Result],
    items: Sequence[Item],
    description: str,
    before_retry: Callable[[Item], object],
) -> Result:
    def reload() -> None:
        for item in items:
            before_retry(item)

    return retry_on_conflict(
        partial(store_all, items), description=description, before_retry=reload
    )


def _row(item: object) -> object:
    """Return the row that an item belongs to."""
    return item[0] if isinstance(item, tuple) else getattr(item, "execution", item)


def _record_failure(
    item: Item, error: Exception, on_failure: Callable[[Item, Exception], object]
) -> None:
    try:
        on_failure(item, error)
    except IllegalTransitionError as changed:
        logger.info("The failure is not recorded: %s", changed)
    except Exception as second:
        if is_outage(second):
            raise
        logger.exception("The failure of %s could not be recorded.", item)


def _can_connect() -> bool:
    connection.close()
    try:
        connection.ensure_connection()
    except (OperationalError, InterfaceError):
        return False
    return connection.is_usable()
