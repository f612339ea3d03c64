"""Poll intervals: older executions are polled less often."""

from __future__ import annotations

import datetime

from django.conf import settings

from remediation import clock
from remediation.models import Heartbeat

STREAM_HEARTBEAT = "stream"  # name of the heartbeat of the process that follows the stream
STREAM_SILENCE = datetime.timedelta(seconds=60)  # more than two keep-alives of the stream
MIN_FACTOR, MAX_FACTOR = 1 / 8, 8  # limits of an interval, times POLL_INTERVAL
MIN_SECONDS = 0.05  # django-q2 reads its queue this often; a shorter interval has no effect
UNKNOWN_INTERVAL = datetime.timedelta(minutes=5)  # of executions whose outcome is unknown
FIRST_RERUN_CHECK = datetime.timedelta(seconds=60)  # after the end of an execution
RERUN_CHECK_PERIOD = datetime.timedelta(days=1)  # after the end, in which re-runs are checked for


def next_interval(age: datetime.timedelta, *, is_streamed: bool) -> datetime.timedelta:
    """Return the time until the next poll: a quarter of the execution's age, within limits.

    The end of an execution is therefore seen at most a quarter of its duration late, and the
    number of polls grows with the logarithm of the duration. ``is_streamed``: the stream reports
    the end first, so the poll only covers missed events.
    """
    shortest = settings.POLL_INTERVAL if is_streamed else shortest_interval().total_seconds()
    longest = max(MAX_FACTOR * settings.POLL_INTERVAL, shortest)
    return datetime.timedelta(seconds=min(max(age.total_seconds() / 4, shortest), longest))


def next_rerun_check(age: datetime.timedelta) -> datetime.timedelta | None:
    """Return the time until the next check for re-runs, given the time since the execution ended.

    It doubles, so one day takes about ten requests. None: no further check.
    """
    if age >= RERUN_CHECK_PERIOD:
        return None
    return max(FIRST_RERUN_CHECK, age)


def shortest_interval() -> datetime.timedelta:
    """Return the poll interval of an execution that has just started."""
    return datetime.timedelta(seconds=max(MIN_FACTOR * settings.POLL_INTERVAL, MIN_SECONDS))


def is_streamed() -> bool:
    """Return whether a process follows StackStorm's stream now."""
    if not settings.ST2_STREAM_URL:
        return False
    alive = Heartbeat.alive(at=clock.now(), silence=STREAM_SILENCE)
    return alive.filter(name=STREAM_HEARTBEAT).exists()
