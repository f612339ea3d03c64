"""Count the errors of the database, at the one place that all of them pass."""

from __future__ import annotations

from typing import Any

from django.db import Error, IntegrityError
from django.db.utils import DatabaseErrorWrapper

from remediation.engine.totals.definitions import DATABASE_ERRORS
from remediation.engine.transaction_retries import is_disconnected, is_locked, is_transient

# MariaDB refuses connections: the server is down, its name is unknown, or it has too many.
UNREACHABLE_CODES = {2002, 2003, 2005, 1040, 1203}
KINDS = ("conflict", "connection", "constraint", "other")


def kind_of(error: Error) -> str:
    """Return the kind of an error; ``conflict`` means that a retry can succeed."""
    if is_locked(error) or is_transient(error):
        return "conflict"
    if is_disconnected(error) or error.args[:1] in {(code,) for code in UNREACHABLE_CODES}:
        return "connection"
    return "constraint" if isinstance(error, IntegrityError) else "other"


class CountingErrorWrapper(DatabaseErrorWrapper):
    """Django's conversion of the driver's errors, which also counts them."""

    def __exit__(self, kind: Any, error: Any, traceback: Any) -> None:
        """Raise Django's error for one of the driver."""
        if kind is None:
            return
        try:
            super().__exit__(kind, error, traceback)
        except Error as converted:
            DATABASE_ERRORS.add(kind=kind_of(converted))
            raise
        # Django's MySQL backend has converted some constraint errors already.
        if isinstance(error, IntegrityError):
            DATABASE_ERRORS.add(kind=kind_of(error))
