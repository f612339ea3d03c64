"""How often StackStorm is asked how an execution is: the older, the more seldom."""

from __future__ import annotations

import datetime

from django.conf import settings

from remediation import clock
from remediation.models import Heartbeat

STREAM = "stream"  # the heartbeat of whoever follows StackStorm's stream
STREAM_SILENCE = datetime.timedelta(seconds=60)  # more than two of the stream's signs of life
FASTEST, SLOWEST = 1 / 8, 8  # times POLL_INTERVAL
FIRST_LOOK = datetime.timedelta(seconds=60)  # for re-runs, after the end of an execution
RERUNS_KEPT = datetime.timedelta(days=1)  # that re-runs are looked for
LEAST_SECONDS = 0.05  # between two looks at the queue, so more often makes no difference


def until_next(age: datetime.timedelta, *, is_streamed: bool) -> datetime.timedelta:
    """Return the time until the next poll: a quarter of the execution's age, within limits.

    So the end of a long execution is learned a quarter of its time late at the most, and what takes
    ten times as long costs no ten times as many polls. ``is_streamed``: the stream tells of it
    first, so the poll is only there for what the stream misses.
    """
    fastest = settings.POLL_INTERVAL if is_streamed else shortest().total_seconds()
    slowest = max(SLOWEST * settings.POLL_INTERVAL, fastest)
    return datetime.timedelta(seconds=min(max(age.total_seconds() / 4, fastest), slowest))


def until_next_look(age: datetime.timedelta) -> datetime.timedelta | None:
    """Return the time until StackStorm is asked again for re-runs of what ended so long ago.

    It doubles, so that a day of looking takes about ten requests. None: it is long enough ago.
    """
    if age >= RERUNS_KEPT:
        return None
    return max(FIRST_LOOK, age)


def shortest() -> datetime.timedelta:
    """Return the time between two polls of what has just begun."""
    return datetime.timedelta(seconds=max(FASTEST * settings.POLL_INTERVAL, LEAST_SECONDS))


def is_streamed() -> bool:
    """Return whether somebody follows StackStorm's stream now."""
    if not settings.ST2_STREAM_URL:
        return False
    alive = Heartbeat.alive(at=clock.now(), silence=STREAM_SILENCE)
    return alive.filter(name=STREAM).exists()
