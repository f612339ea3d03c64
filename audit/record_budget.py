"""Limits how many API calls without valid credentials one process records."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

logger = logging.getLogger(__name__)

WINDOW_SECONDS = 60.0
RECORDS_PER_WINDOW = 60


class RecordBudget:
    """Allows ``RECORDS_PER_WINDOW`` records in ``WINDOW_SECONDS``."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._window_end = 0.0
        self._left = 0
        self._skipped = 0

    def take(self) -> bool:
        """Return whether the call may be recorded. Logs the skipped calls of the last window."""
        with self._lock:
            now = self._clock()
            skipped = 0
            if now >= self._window_end:
                self._window_end = now + WINDOW_SECONDS
                self._left = RECORDS_PER_WINDOW
                skipped, self._skipped = self._skipped, 0
            is_allowed = self._left > 0
            if is_allowed:
                self._left -= 1
            else:
                self._skipped += 1
        if skipped:
            logger.warning("%d API calls without valid credentials were not recorded.", skipped)
        return is_allowed
