"""Settle executions from StackStorm's stream, as soon as they end; the poll stays the safety net.

The stream needs no request of ours for an execution, and may miss any event: whatever it does not
tell, or tells of something that needs a second look, is left to the poll.
"""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable, Iterable
from typing import NoReturn

from django.conf import settings
from django.db import DatabaseError, close_old_connections
from django.utils import timezone

from remediation.engine import pace, poll
from remediation.engine.settle import OUTCOMES
from remediation.models import ActionExecution, Heartbeat
from remediation.stackstorm import Execution, StackStormClient, StackStormError

logger = logging.getLogger(__name__)

LONGEST_WAIT_SECONDS = 30.0  # between two attempts to connect
LOOK_SECONDS = 1.0  # between two looks after what is not worth one for each event


def follow(*, client: StackStormClient, wait: Callable[[float], object] = time.sleep) -> NoReturn:
    """Follow the stream for ever; ``wait`` passes the seconds between two connections."""
    failures = 0
    while True:
        began = time.monotonic()
        try:
            listen(client=client)
        except (StackStormError, DatabaseError) as error:
            lasted = time.monotonic() - began
            failures = 0 if lasted > LONGEST_WAIT_SECONDS else failures + 1
            logger.warning("The stream is connected anew, the poll goes on meanwhile: %s", error)
        wait(_pause_seconds(failures))


def listen(*, client: StackStormClient) -> None:
    """Take what one connection tells until it is cut, which raises StackStormError."""
    looked_at = -LOOK_SECONDS
    is_first = True
    for moved in client.follow(settings.ST2_STREAM_URL):
        if time.monotonic() > looked_at + LOOK_SECONDS:
            looked_at = time.monotonic()
            # A database that closed the connection in the meantime is connected to anew.
            close_old_connections()
            Heartbeat.show_life(pace.STREAM, at=timezone.now())
        if is_first:
            # What happened before this moment is told by nobody else.
            poll.ask_for_all()
            is_first = False
        take(moved)


def take(moved: Iterable[Execution]) -> None:
    """Take the events that came together; of one execution the last counts.

    What is not ours, or has ended here before, changes nothing.
    """
    told = {remote.id: remote for remote in moved}
    known = poll.known(told)
    ended = []
    for pk, row in known.items():
        remote = told[pk]
        if row.status in ActionExecution.FINAL:
            continue
        if remote.status not in OUTCOMES:
            poll.keep_word(row, remote.status, at=timezone.now())
        elif _needs_a_look(row):
            poll.hint(st2_execution_id=remote.id, trace_tag="")
        else:
            ended.append((row, remote))
    poll.ended_all(ended)
    # Our tag under another id: a launch whose answer is not in yet, or a task that it began.
    others = [remote for pk, remote in told.items() if pk not in known and remote.is_top_level]
    ends = [remote.trace_tag for remote in others if remote.status in OUTCOMES]
    poll.hint_all(set(filter(None, ends)))


def _needs_a_look(row: ActionExecution) -> bool:
    # A workflow's tasks have to be fetched; what was launched twice may be there twice.
    return row.step_order == 0 or row.unanswered_launches > 0


def _pause_seconds(failures: int) -> float:
    """Return how long to wait: longer each time, and not the same for all who lost StackStorm."""
    longest = min(0.5 * 2 ** min(failures, 10), LONGEST_WAIT_SECONDS)
    return random.uniform(longest / 2, longest)  # noqa: S311
