"""What StackStorm's refusals mean for all calls: a problem on record, a pause, then one probe.

The problem is the heartbeat ``stackstorm``: its note says what is wrong, ``beat_at`` since when,
``due_at`` when StackStorm is called next.
"""

from __future__ import annotations

import datetime
import logging

from remediation import clock
from remediation.engine.connection import STACKSTORM
from remediation.engine.secrets import known_secrets
from remediation.models import Heartbeat
from remediation.redaction import mask_text
from remediation.stackstorm import (
    MAX_RETRY_AFTER,
    StackStormClient,
    StackStormError,
    StackStormRejected,
    StackStormUnavailable,
)

logger = logging.getLogger(__name__)

# Until the next try: a quarter of the outage's age, within these limits.
SHORTEST_SECONDS, LONGEST_SECONDS = 1.0, 15.0
LONGEST_HOLD = datetime.timedelta(seconds=300)  # that a Retry-After may ask for
# While a launch was refused this lately, an answered read does not end the problem: StackStorm
# may read well and start nothing, as without its message bus.
LAUNCH_PROBLEM_SECONDS = 60.0


def report(error: StackStormError, *, at: datetime.datetime) -> datetime.datetime:
    """Record that StackStorm does not take calls; return when it is called next."""
    known = current()
    seconds = getattr(error, "retry_after", None)
    if seconds is None:
        age = (at - known.beat_at).total_seconds() if known else 0.0
        seconds = min(max(age / 4, SHORTEST_SECONDS), LONGEST_SECONDS)
    next_try = at + datetime.timedelta(seconds=seconds)
    Heartbeat.tell(STACKSTORM, mask_text(str(error), known_secrets()), at=at, until=next_try)
    return next_try


def is_outage(error: StackStormError) -> bool:
    """Return whether other calls would fail as well, by all that is known."""
    return isinstance(error, StackStormUnavailable) and error.stops_others


def current() -> Heartbeat | None:
    """Return the problem with StackStorm, None when there is none."""
    return Heartbeat.objects.filter(name=STACKSTORM).exclude(note="").first()


def is_held(*, at: datetime.datetime) -> bool:
    """Return whether StackStorm is not to be called yet."""
    # A time that is too far ahead comes from a clock that was wrong, and holds nothing.
    longest = datetime.timedelta(seconds=MAX_RETRY_AFTER) + clock.TOLERANCE
    held = Heartbeat.objects.filter(name=STACKSTORM, due_at__gt=at, due_at__lte=at + longest)
    return held.exclude(note="").exists()


def end_by_launch(*, at: datetime.datetime) -> None:
    """End the problem, if there is one: StackStorm has taken a launch."""
    if Heartbeat.has_problem(STACKSTORM):
        Heartbeat.tell(STACKSTORM, "", at=at)


def end_by_read(*, at: datetime.datetime, is_probe: bool = False) -> None:
    """End the problem after an answered read, unless launches were refused lately.

    ``is_probe``: the read asked for nothing that a key could be refused.
    """
    problem = current() if Heartbeat.has_problem(STACKSTORM) else None
    if problem is None:
        return
    is_kept = " POST /executions" in problem.note or (
        is_probe and problem.note.startswith("StackStorm rejected")
    )
    if is_kept and at < problem.due_at + datetime.timedelta(seconds=LAUNCH_PROBLEM_SECONDS):
        return
    Heartbeat.tell(STACKSTORM, "", at=at)


def probe(*, client: StackStormClient) -> bool:
    """Return whether StackStorm can be called; while it has a problem, by one cheap read."""
    if not Heartbeat.has_problem(STACKSTORM):
        return True
    try:
        client.version()
    except StackStormRejected:
        # Somebody answers for StackStorm; the calls behind this one show the rest.
        pass
    except StackStormError as error:
        logger.warning("StackStorm does not take calls yet: %s", error)
        report(error, at=clock.now())
        return False
    end_by_read(at=clock.now(), is_probe=True)
    return True


def sentence(problem: Heartbeat) -> str:
    """Return what is wrong with StackStorm since when, and when it is called next."""
    return (
        f"StackStorm does not take calls since {problem.beat_at:%Y-%m-%d %H:%M:%S} UTC:"
        f" {problem.note.rstrip('.')}. {next_try_text(problem.due_at)}"
    )


def next_try_text(at: datetime.datetime) -> str:
    """Return the sentence that names the time of the next try."""
    return f"It is tried again from {at:%Y-%m-%d %H:%M:%S} UTC on."
