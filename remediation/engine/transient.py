"""Repeat a whole transaction when another process was in its way."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable
from typing import TypeVar

from django.db import DatabaseError, IntegrityError, OperationalError

logger = logging.getLogger(__name__)

TRIES = 8
# MariaDB: deadlock, lock wait time-out, row changed since it was read.
TRANSIENT_CODES = {1213, 1205, 1020}

Result = TypeVar("Result")


def repeated(
    work: Callable[[], Result],
    *,
    what: str,
    afresh: Callable[[], object] = lambda: None,
) -> Result:
    """Return what ``work``, which is one transaction, returns; do it again after a lost race.

    ``afresh`` is called before it is done again, to read anew what it works on. Raises
    DatabaseError for what is no lost race, or after as many tries as there are.
    """
    for left in reversed(range(TRIES)):
        try:
            return work()
        except DatabaseError as error:
            if not left or not is_transient(error):
                raise
            logger.info("%s is repeated: %s", what, error)
            time.sleep(random.uniform(0.005, 0.05) * (TRIES - left))  # noqa: S311
            afresh()
    raise AssertionError("unreachable")


def is_transient(error: DatabaseError) -> bool:
    """Return whether the same transaction can succeed when it is repeated."""
    if isinstance(error, IntegrityError):
        # Somebody else made the same row first.
        return True
    code = error.args[0] if error.args else None
    return isinstance(error, OperationalError) and (
        code in TRANSIENT_CODES or "locked" in str(error)
    )
