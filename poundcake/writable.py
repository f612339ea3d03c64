"""Check for ``/readyz`` that the database is writable, with a small write at most once a second."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from threading import Lock

from django.db import Error, transaction

from remediation import clock
from remediation.models import Problem

# Large enough to need new space, since updating a small row in place would not.
ROW_BYTES = 8_192
INTERVAL_SECONDS = 1.0  # between two writes, for any number of probes


class WriteCheck:
    """Write a row and delete it. Probes within the interval get the previous result."""

    def __init__(self, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._lock = Lock()
        self.reset()

    def reset(self) -> None:
        """Discard the previous result."""
        self._error: Error | None = None
        self._check_at = float("-inf")

    def __call__(self) -> None:
        """Raise Error if the database is read-only, full or unavailable."""
        # While one thread checks, other threads use the previous result.
        if self._monotonic() >= self._check_at and self._lock.acquire(blocking=False):
            try:
                self._check()
            finally:
                self._lock.release()
        if self._error is not None:
            raise self._error

    def _check(self) -> None:
        try:
            _write()
            self._error = None
        except Error as error:
            self._error = error
        self._check_at = self._monotonic() + INTERVAL_SECONDS


def _write() -> None:
    at = clock.now()
    name = f"write-check:{uuid.uuid4().hex}"
    with transaction.atomic():
        row = Problem(name=name, text="x" * ROW_BYTES, since=at, reported_at=at, next_try_at=at)
        row.save(force_insert=True)
        row.delete()
