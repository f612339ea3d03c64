"""The time that all processes share: the database's.

The clocks of machines differ and jump. Every time that is stored, or compared with a stored one,
comes from ``now``. On SQLite all processes run on one machine, so it is the machine's clock.
"""

from __future__ import annotations

import datetime
import logging
import socket
import time
from threading import Lock

from django.db import Error, connection

logger = logging.getLogger(__name__)

READ_INTERVAL_SECONDS = 5.0  # between two readings of the database's clock
ROUND_TRIP_SECONDS = 1.0  # a reading that took longer is too inexact
READINGS_MAX = 3  # in a row, until one is exact enough
# Two processes may read the clock this much apart: a time less far ahead is not in the future.
TOLERANCE = datetime.timedelta(seconds=2)
SKEW_WARNING_SECONDS = 5.0  # skew of a machine's clock that is reported
EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
# It never jumps, and on Linux it includes the time that the machine was suspended.
_STEADY = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def steady_seconds() -> float:
    """Return seconds since a fixed moment, which is the same for all processes of this machine."""
    return time.clock_gettime(_STEADY)


class MachineClock:
    """The wall clock of this machine."""

    def now(self) -> datetime.datetime:
        """Return the current time, in UTC."""
        return datetime.datetime.now(tz=datetime.UTC)


class DatabaseClock:
    """The clock of the database: read every few seconds, advanced by the steady clock in between.

    A call needs no statement, and a jump of the machine's wall clock has no effect.
    """

    def __init__(self) -> None:
        self._reading = Lock()
        self._offset: float | None = None
        self._read_at = float("-inf")

    def now(self) -> datetime.datetime:
        """Return the current time, in UTC.

        Before the first answer of the database it is this machine's time.
        """
        is_old = steady_seconds() > self._read_at + READ_INTERVAL_SECONDS
        # While one thread reads, the others use the last offset.
        if is_old and self._reading.acquire(blocking=self._offset is None):
            try:
                self._read()
            finally:
                self._reading.release()
        if self._offset is None:
            return MachineClock().now()
        return EPOCH + datetime.timedelta(seconds=steady_seconds() + self._offset)

    def _read(self) -> None:
        if connection.needs_rollback:
            return
        self._read_at = steady_seconds()
        for _ in range(READINGS_MAX):
            before = steady_seconds()
            try:
                shown = _database_seconds()
            except Error as error:
                logger.info("The clock of the database was not read: %s", error)
                return
            after = steady_seconds()
            if after - before < ROUND_TRIP_SECONDS:
                self._offset = self._within(shown - after, shown - before)
                return
        if self._offset is None:
            self._offset = shown - after

    def _within(self, least: float, most: float) -> float:
        """Return the offset. Keep the old one within the bounds, so that time does not jitter."""
        if self._offset is None:
            return (least + most) / 2
        return min(max(self._offset, least), most)


def _database_seconds() -> float:
    with connection.cursor() as cursor:
        cursor.execute("SELECT UTC_TIMESTAMP(6)")
        [shown] = cursor.fetchone()
    seconds: float = (shown.replace(tzinfo=datetime.UTC) - EPOCH).total_seconds()
    return seconds


_machine, _database = MachineClock(), DatabaseClock()


def now() -> datetime.datetime:
    """Return the current time of all processes, in UTC. Not for threads without a database."""
    return _shared().now()


def skew_seconds() -> float:
    """Return how far this machine's clock is ahead of the shared time."""
    return (_machine.now() - now()).total_seconds()


def skew_warning() -> str:
    """Return a text about this machine's clock if it is wrong, else ''."""
    seconds = skew_seconds()
    if abs(seconds) < SKEW_WARNING_SECONDS:
        return ""
    direction = "ahead of" if seconds > 0 else "behind"
    return (
        f"the clock of {socket.gethostname()} is {abs(seconds):.1f} s {direction} the database's:"
        " PoundCake uses the database's; set this one by NTP"
    )


def _shared() -> MachineClock | DatabaseClock:
    return _machine if connection.vendor == "sqlite" else _database


class Timer:
    """A time limit on two clocks of this machine; the one that advanced further counts.

    The steady clock advances while a process is stopped or a machine suspended. The wall clock is
    corrected after a virtual machine was paused; a jump can only end the limit early.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._began = (steady_seconds(), time.time())

    def is_over(self) -> bool:
        """Return whether the limit is reached."""
        steady, wall = self._began
        return max(steady_seconds() - steady, time.time() - wall) >= self._seconds
