"""Can the database be written to: one small write, now and then, for ``/readyz``."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from threading import Lock

from django.db import Error, transaction

from remediation import clock
from remediation.models import Heartbeat

# A new row must find room for it, also where a row that is updated keeps its place.
ROW_BYTES = 8_192
INTERVAL_SECONDS = 1.0  # between two writes, however many probes come


class WriteCheck:
    """Writes a row and deletes it again. Probes in between get the last outcome."""

    def __init__(self, *, steady_seconds: Callable[[], float] = time.monotonic) -> None:
        """Check at the first call."""
        self._steady_seconds = steady_seconds
        self._lock = Lock()
        self.forget()

    def forget(self) -> None:
        """Check again at the next call."""
        self._error: Error | None = None
        self._check_at = float("-inf")

    def __call__(self) -> None:
        """Raise Error while the database is read-only, its disk full or it is away."""
        # While one thread checks, the others get the last outcome.
        if self._steady_seconds() >= self._check_at and self._lock.acquire(blocking=False):
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
        self._check_at = self._steady_seconds() + INTERVAL_SECONDS


def _write() -> None:
    at = clock.now()
    name = f"write-check:{uuid.uuid4().hex}"
    with transaction.atomic():
        row = Heartbeat(name=name, beat_at=at, due_at=at, note="x" * ROW_BYTES)
        row.save(force_insert=True)
        row.delete()
