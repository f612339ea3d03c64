"""Outages of StackStorm: record the problem, stop calling for a while, then probe once.

The problem is the row ``stackstorm`` of ``Problem``.
"""

from __future__ import annotations

import datetime
import logging

from remediation import clock
from remediation.engine import log_once
from remediation.engine.secret_values import known_secrets
from remediation.engine.stackstorm_client import STACKSTORM
from remediation.models import Problem
from remediation.redaction import mask_text
from remediation.stackstorm import (
    MAX_RETRY_AFTER,
    StackStormClient,
    StackStormError,
    StackStormRejected,
    StackStormUnavailable,
)

logger = logging.getLogger(__name__)

# The delay until the next call is a quarter of the age of the outage, within these limits.
SHORTEST_SECONDS, LONGEST_SECONDS = 1.0, 15.0
# A successful read does not end a problem of launches before this time: StackStorm can answer reads
# and still launch nothing, for example without its message bus.
LAUNCH_PROBLEM_SECONDS = 60.0


def report(error: StackStormError, *, at: datetime.datetime) -> datetime.datetime:
    """Record an outage of StackStorm; return the time of the next call."""
    known = current()
    seconds = getattr(error, "retry_after", None)
    if seconds is None:
        age = (at - known.since).total_seconds() if known else 0.0
        seconds = min(max(age / 4, SHORTEST_SECONDS), LONGEST_SECONDS)
    next_try = at + datetime.timedelta(seconds=seconds)
    text = mask_text(str(error), known_secrets())
    Problem.report(STACKSTORM, text, at=at, next_try_at=next_try)
    return next_try


def is_outage(error: StackStormError) -> bool:
    """Return whether other calls would probably fail as well."""
    return isinstance(error, StackStormUnavailable) and error.stops_others


def current() -> Problem | None:
    """Return the current problem with StackStorm, or None."""
    return Problem.objects.filter(name=STACKSTORM).first()


def blocks_calls(*, at: datetime.datetime) -> bool:
    """Return whether StackStorm must not be called yet."""
    # A time too far in the future comes from a wrong clock and is ignored.
    longest = datetime.timedelta(seconds=MAX_RETRY_AFTER) + clock.TOLERANCE
    delayed = Problem.objects.filter(
        name=STACKSTORM, next_try_at__gt=at, next_try_at__lte=at + longest
    )
    return delayed.exists()


def end_by_launch(*, at: datetime.datetime) -> None:
    """End the current problem: StackStorm has accepted a launch."""
    if Problem.is_current(STACKSTORM):
        Problem.clear(STACKSTORM)


def end_by_read(*, at: datetime.datetime, is_probe: bool = False) -> None:
    """End the problem after a successful read, unless launches were refused recently.

    ``is_probe``: the read needs no permission, so it does not prove that the API key is valid.
    """
    problem = current()
    if problem is None:
        return
    is_kept = " POST /executions" in problem.text or (
        is_probe and problem.text.startswith("StackStorm rejected")
    )
    if is_kept and at < problem.next_try_at + datetime.timedelta(seconds=LAUNCH_PROBLEM_SECONDS):
        return
    Problem.clear(STACKSTORM)


def probe(*, client: StackStormClient) -> bool:
    """Return whether StackStorm can be called; make one cheap read to check during an outage."""
    if not Problem.is_current(STACKSTORM):
        return True
    try:
        client.version()
    except StackStormRejected:
        # StackStorm responds. The calls that follow show whether it accepts them.
        pass
    except StackStormError as error:
        log_once.warning(logger, "StackStorm still accepts no requests: %s", error)
        report(error, at=clock.now())
        return False
    end_by_read(at=clock.now(), is_probe=True)
    return True


def describe(problem: Problem) -> str:
    """Return a text with the problem, its start and the time of the next call."""
    return (
        f"StackStorm has accepted no requests since {problem.since:%Y-%m-%d %H:%M:%S} UTC:"
        f" {problem.text.rstrip('.')}. {next_try_text(problem.next_try_at)}"
    )


def next_try_text(at: datetime.datetime) -> str:
    """Return the sentence with the time of the next call."""
    return f"PoundCake retries from {at:%Y-%m-%d %H:%M:%S} UTC on."
