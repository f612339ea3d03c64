"""Settle executions from StackStorm's stream, as soon as they end; the poll stays the safety net.

The stream needs no request of ours for an execution, and may miss any event: whatever it does not
tell, or tells of something that needs a second look, is left to the poll.
"""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable
from typing import NoReturn

from django.conf import settings
from django.db import DatabaseError, close_old_connections
from django.utils import timezone

from remediation.engine import poll
from remediation.engine.settle import OUTCOMES
from remediation.models import ActionExecution
from remediation.stackstorm import Execution, StackStormClient, StackStormError

logger = logging.getLogger(__name__)

LONGEST_WAIT_SECONDS = 30.0  # between two attempts to connect


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
    events = client.follow(settings.ST2_STREAM_URL)
    next(events)
    # A database that closed the connection in the meantime is connected to anew.
    close_old_connections()
    # What happened before this moment is told by nobody else.
    poll.ask_for_all()
    for remote in events:
        close_old_connections()
        if remote is not None:
            take(remote)


def take(remote: Execution) -> None:
    """Take one event; what is not ours, or has ended here before, changes nothing."""
    row = poll.find(remote.id, remote.trace_tag)
    if row is None or row.status in ActionExecution.FINAL:
        return
    if row.st2_execution_id != remote.id:
        # Our tag under another id: a launch whose answer is not in yet, or a task that it began.
        if remote.is_top_level:
            poll.hint(st2_execution_id="", trace_tag=remote.trace_tag)
    elif remote.status not in OUTCOMES:
        poll.keep_word(row, remote.status, at=timezone.now())
    elif _needs_a_look(row):
        poll.hint(st2_execution_id=remote.id, trace_tag="")
    else:
        poll.ended(row, remote, tasks=[])


def _needs_a_look(row: ActionExecution) -> bool:
    # A workflow's tasks have to be fetched; what was launched twice may be there twice.
    return row.step_order == 0 or row.unanswered_launches > 0


def _pause_seconds(failures: int) -> float:
    """Return how long to wait: longer each time, and not the same for all who lost StackStorm."""
    longest = min(0.5 * 2 ** min(failures, 10), LONGEST_WAIT_SECONDS)
    return random.uniform(longest / 2, longest)  # noqa: S311
