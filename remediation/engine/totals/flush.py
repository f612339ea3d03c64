"""Add the counts of this process to the totals, every few seconds and when the process ends.

If the process is killed, the counts of the last FLUSH_SECONDS are lost. While the database fails,
they are kept.
"""

from __future__ import annotations

import logging
import time
from multiprocessing.util import Finalize
from threading import Thread

from django.db import Error, connection, transaction

from remediation import process_counts
from remediation.models import MetricTotal

logger = logging.getLogger(__name__)

FLUSH_SECONDS = 5.0


def enable() -> None:
    """Flush the counts of this process, and of processes forked from it."""
    process_counts.call_on_first_count(_start)


def _start() -> None:
    """Start the thread of this process, and flush when the process ends.

    ``Finalize`` also runs in the processes of django-q2, in which ``atexit`` does not.
    """
    Finalize(None, flush, exitpriority=10)
    Thread(target=_flush_forever, name="flush-counts", daemon=True).start()


def _flush_forever() -> None:
    while True:
        time.sleep(FLUSH_SECONDS)
        flush()
        # A connection of this thread would be idle most of the time.
        connection.close()


def flush() -> None:
    """Add the counts to the totals; keep them if the database fails."""
    counts = process_counts.take()
    if not counts:
        return
    try:
        with transaction.atomic():
            MetricTotal.add(counts)
    except Error as error:
        process_counts.give_back(counts)
        logger.debug("The counts of this process are kept for the next flush: %s", error)
