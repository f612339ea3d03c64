"""Log an outage of the database once, once a minute and at its end, whatever fails meanwhile.

Every request and job fails during an outage. Their records contain the same error with different
tracebacks; a filter replaces the first one by a sentence and drops the others.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from remediation import log_context
from remediation.engine import database_errors

logger = logging.getLogger(__name__)

REPEAT_SECONDS = 60.0
# A worker command reports an outage for its clusters.
CLUSTER_ROLES = frozenset({"launch", "follow", "local"})
WORKER_ID = "WORKER_ID"
# A new connection ends these.
CONNECTION_KINDS = frozenset({"unreachable", "refused", "unknown"})


@dataclass(slots=True)
class _Outage:
    began_at: float
    logged_at: float
    dropped: int = 0


class Outages:
    """The current outages of this process by kind."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._current: dict[str, _Outage] = {}

    def reset(self) -> None:
        """Forget all outages."""
        self._current.clear()

    def describe(self, kind: str, sentence: str) -> str:
        """Return the text to log for an error of this kind, '' if it is not due."""
        now = self._clock()
        with self._lock:
            known = self._current.get(kind)
            if known is None:
                self._current[kind] = _Outage(now, now)
                return sentence
            if now - known.logged_at < REPEAT_SECONDS:
                known.dropped += 1
                return ""
            dropped, known.dropped, known.logged_at = known.dropped, 0, now
        return (
            f"{sentence} This has lasted {now - known.began_at:.0f} s, with {dropped} more errors"
            " since the last line."
        )

    def end(self) -> None:
        """Log the end of the outages that a new connection ends."""
        if not self._current:
            return
        with self._lock:
            ended = [self._current.pop(kind, None) for kind in CONNECTION_KINDS]
        began = [outage.began_at for outage in ended if outage]
        if began and not is_reported_by_worker():
            seconds = self._clock() - min(began)
            logger.warning(
                "The database can be used again after %.1f s.",
                seconds,
                extra={"event": "database.outage_ended", "seconds": round(seconds, 1)},
            )


outages = Outages()


class OutageFilter(logging.Filter):
    """Replace records about an outage of the database as described above."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether to write the record."""
        for error in _errors(record):
            if kind := database_errors.kind(error):
                if kind in CONNECTION_KINDS and is_reported_by_worker():
                    outages.describe(kind, "")
                    return False
                return self._replace(record, kind, error)
        return True

    @staticmethod
    def _replace(record: logging.LogRecord, kind: str, error: BaseException) -> bool:
        text = outages.describe(kind, database_errors.explain(error))
        if not text:
            return False
        record.msg, record.args = text, ()
        record.exc_info = record.exc_text = record.stack_info = None
        record.levelno, record.levelname = logging.ERROR, "ERROR"
        record.event = "database.outage"
        return True


def is_reported_by_worker() -> bool:
    """Return whether this is a process of a cluster that a worker command has started."""
    return log_context.role() in CLUSTER_ROLES and bool(os.environ.get(WORKER_ID))


def _errors(record: logging.LogRecord) -> Iterator[BaseException]:
    """Return the exceptions of a record, with their causes."""
    candidates = [record.exc_info[1]] if record.exc_info else []
    if isinstance(record.args, tuple):
        candidates += [value for value in record.args if isinstance(value, BaseException)]
    for error in candidates:
        current: BaseException | None = error
        for _ in range(5):
            if current is None:
                break
            yield current
            current = current.__cause__ or current.__context__
