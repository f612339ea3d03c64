"""The time that all processes share: that of the database.

The clocks of machines differ and step. Each time that is stored, or compared with a stored one,
comes from ``now``. On SQLite, where all processes run on one machine, that is the machine's clock.
"""

from __future__ import annotations

import datetime
import logging
import socket
import time
from threading import Lock

from django.db import Error, connection

logger = logging.getLogger(__name__)

READ_AGAIN_SECONDS = 5.0  # between two readings of the database's clock
ROUND_TRIP_SECONDS = 1.0  # a reading that took longer says too little
READINGS_MAX = 3  # at once, while none is good enough
# Stamps this much ahead of now are still those of another process that read the clock as well.
TOLERANCE = datetime.timedelta(seconds=2)
SKEW_WARNING_SECONDS = 5.0  # of a machine's clock, which people should set right
EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
# It never steps, and on Linux it also counts the time that the machine was suspended.
_STEADY = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def steady_seconds() -> float:
    """Return seconds since a fixed moment, the same for all processes of this machine."""
    return time.clock_gettime(_STEADY)


class MachineClock:
    """The wall clock of this machine."""

    def now(self) -> datetime.datetime:
        """Return the current time, in UTC."""
        return datetime.datetime.now(tz=datetime.UTC)


class DatabaseClock:
    """The clock of the database, read every few seconds and carried on by the steady clock.

    So it costs no statement per call, and a step of the machine's wall clock changes nothing.
    """

    def __init__(self) -> None:
        self._reading = Lock()
        self._offset: float | None = None
        self._read_at = float("-inf")

    def now(self) -> datetime.datetime:
        """Return the current time, in UTC.

        Without any answer of the database so far it is this machine's time.
        """
        is_old = steady_seconds() > self._read_at + READ_AGAIN_SECONDS
        # While one thread reads, the others go on with what is known.
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
        """Return the offset; one that is still possible is kept, so that time does not jitter."""
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
    """Return by how much this machine's clock is ahead of the shared time."""
    return (_machine.now() - now()).total_seconds()


def skew_warning() -> str:
    """Return what is wrong with this machine's clock, '' when nothing is."""
    seconds = skew_seconds()
    if abs(seconds) < SKEW_WARNING_SECONDS:
        return ""
    direction = "ahead of" if seconds > 0 else "behind"
    return (
        f"the clock of {socket.gethostname()} is {abs(seconds):.1f} s {direction} the database's:"
        " PoundCake goes by the database's; set this one by NTP"
    )


def _shared() -> MachineClock | DatabaseClock:
    return _machine if connection.vendor == "sqlite" else _database


class Timer:
    """A time limit by all clocks of this machine: the one that ran the furthest counts.

    The steady clock goes on while a process is stopped or a machine suspended; the wall clock is
    set again after a pause of a virtual machine. A step of it can only end the limit early.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._began = (steady_seconds(), time.time())

    def is_over(self) -> bool:
        """Return whether the time is over."""
        steady, wall = self._began
        return max(steady_seconds() - steady, time.time() - wall) >= self._seconds
