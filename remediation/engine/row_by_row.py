"""Store several rows in one transaction, and row by row when one of them stops the others.

One answer of StackStorm that the database refuses must not hold up those beside it. What fails
again on its own fails alone, and its reason is recorded on its row.
"""

from __future__ import annotations

import datetime
import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import TypeVar

from django.db import DatabaseError, Error, InterfaceError, OperationalError, connection

from remediation import clock
from remediation.engine import problems
from remediation.engine.retries import is_disconnected, is_locked, repeated
from remediation.engine.secrets import known_secrets
from remediation.json_values import fit_text
from remediation.models import ActionExecution, IllegalTransitionError
from remediation.redaction import mask_text

logger = logging.getLogger(__name__)

SET_ASIDE = datetime.timedelta(minutes=5)  # until a row that could not be handled is tried again
REASON_LENGTH = 300  # characters of an error in a row's reason
# MariaDB: disk or table full, read-only, no such server, too many connections, access denied.
_OUTAGE_CODES = {1021, 1114, 1036, 1290, 1792, 1836, 1040, 1044, 1045, 1049, 2002, 2003, 2005}
# SQLite has no codes in its errors.
_OUTAGE_WORDS = ("readonly database", "disk is full", "disk I/O error", "unable to open database")

Item = TypeVar("Item")
Result = TypeVar("Result")


def together(
    items: Sequence[Item],
    work: Callable[[Sequence[Item]], Result],
    *,
    what: str,
    failed: Callable[[Item, Exception], object],
    afresh: Callable[[Item], object] = lambda _: None,
) -> list[Result]:
    """Do ``work``, which is one transaction, for all items; for each alone if that fails.

    ``failed``: records why one item cannot be stored, in a transaction of its own. ``afresh``:
    reads again what a failed transaction has changed of an item in memory. Returns what the calls
    of ``work`` returned. Raises DatabaseError when a lock stays or nothing can be stored at all.
    """
    if len(items) > 1:
        try:
            return [_repeated(work, items, what, afresh)]
        except Exception as error:
            if is_outage(error):
                raise
            logger.warning("%s is repeated row by row: %s", what, error)
        for item in items:
            afresh(item)

    def failed_alone(item: Item, error: Exception) -> None:
        afresh(item)
        failed(item, error)

    results = []
    for item in items:
        with contained(item, what=what, failed=failed_alone):
            results.append(_repeated(work, [item], what, afresh))
    return results


@contextmanager
def contained(
    item: Item, *, what: str, failed: Callable[[Item, Exception], object], job: str = "storage"
) -> Iterator[None]:
    """Let an error in this block fail one item, which ``failed`` records, and not its caller.

    ``job``: the name of the problem that it becomes. Raises DatabaseError when a lock stays or
    nothing can be stored at all.
    """
    try:
        yield
    except Exception as error:
        if is_outage(error):
            raise
        logger.exception("%s failed for %s.", what, item)
        problems.report(job, error, subject=_subject(item))
        _record(item, error, failed)


def set_aside(row: ActionExecution, error: Exception) -> None:
    """Leave an execution that could not be handled for later, and show why."""
    open_row = ActionExecution.objects.filter(pk=row.pk).exclude(status__in=ActionExecution.FINAL)
    open_row.update(due_at=clock.now() + SET_ASIDE, error_message=reason_for(error))


def read_status_again(row: ActionExecution) -> None:
    """Read the status again, which a failed transaction changed in memory alone."""
    row.refresh_from_db(fields=["status"])


def reason_for(error: Exception) -> str:
    """Return what an operator reads about an error that a row caused."""
    text = mask_text(f"{type(error).__name__}: {error}", known_secrets())
    return fit_text(f"PoundCake could not record it: {text}", length=REASON_LENGTH)


def is_outage(error: Exception) -> bool:
    """Return whether the database, and not one row, is why something could not be stored."""
    if not isinstance(error, Error):
        return False
    if is_disconnected(error):
        # A statement that is too large ends the connection as well; then a new one works.
        return connection.in_atomic_block or not _can_connect()
    code = error.args[0] if error.args else None
    has_no_room = any(words in str(error) for words in _OUTAGE_WORDS)
    return isinstance(error, DatabaseError) and (
        is_locked(error) or code in _OUTAGE_CODES or has_no_room
    )


def _repeated(
    work: Callable[[Sequence[Item]], Result],
    items: Sequence[Item],
    what: str,
    afresh: Callable[[Item], object],
) -> Result:
    def read_again() -> None:
        for item in items:
            afresh(item)

    return repeated(partial(work, items), what=what, afresh=read_again)


def _subject(item: object) -> str:
    """Return the name of the row that an item is about."""
    row = item[0] if isinstance(item, tuple) else getattr(item, "execution", item)
    return str(row)


def _record(item: Item, error: Exception, failed: Callable[[Item, Exception], object]) -> None:
    try:
        failed(item, error)
    except IllegalTransitionError as moved:
        logger.info("Nothing is recorded on it: %s", moved)
    except Exception as again:
        if is_outage(again):
            raise
        logger.exception("What failed for %s could not be recorded.", item)


def _can_connect() -> bool:
    connection.close()
    try:
        connection.ensure_connection()
    except (OperationalError, InterfaceError):
        return False
    return connection.is_usable()
