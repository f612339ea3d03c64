"""Settle executions from StackStorm's stream, as soon as they end; the poll stays the safety net.

The stream needs no request of ours for an execution, and may miss any event: whatever it does not
tell, or tells of something that needs a second look, is left to the poll.
"""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable, Collection, Iterable, Iterator
from concurrent import futures
from typing import NoReturn

from django.conf import settings
from django.db import Error, close_old_connections

from remediation import clock
from remediation.engine.outcomes import inquiries, poll, poll_interval, reruns
from remediation.engine.outcomes.outcome import OUTCOMES
from remediation.models import ActionExecution, Heartbeat
from remediation.stackstorm import Execution, StackStormClient, StackStormError

logger = logging.getLogger(__name__)

LONGEST_WAIT_SECONDS = 30.0  # between two attempts to connect
LOOK_SECONDS = 1.0  # between two looks after what is not worth one for each event
GATHER_SECONDS = 0.03  # after a write until the next, in which events are gathered
AT_ONCE_SECONDS = 0.002  # between events that have come already
EVENTS_MAX = 100  # that are taken together
EARLY_SECONDS = 5.0  # that an end is kept whose launch is not on record


def follow(*, client: StackStormClient, wait: Callable[[float], object] = time.sleep) -> NoReturn:
    """Follow the stream for ever; ``wait`` passes the seconds between two connections."""
    failures = 0
    while True:
        began = time.monotonic()
        try:
            listen(client=client)
        except (StackStormError, Error) as error:
            lasted = time.monotonic() - began
            failures = 0 if lasted > LONGEST_WAIT_SECONDS else failures + 1
            logger.warning("The stream is connected anew, the poll goes on meanwhile: %s", error)
        wait(_pause_seconds(failures))


def listen(*, client: StackStormClient) -> None:
    """Take what one connection tells until it is cut, which raises StackStormError."""
    looked_at = -LOOK_SECONDS
    is_first = True
    early = _Early()
    for moved in gathered(client.follow(settings.ST2_STREAM_URL)):
        if time.monotonic() > looked_at + LOOK_SECONDS:
            looked_at = time.monotonic()
            # A database that closed the connection in the meantime is connected to anew.
            close_old_connections()
            Heartbeat.show_life(poll_interval.STREAM, at=clock.now())
        if is_first:
            # What happened before this moment is told by nobody else.
            poll.ask_for_all()
            is_first = False
        early.keep(take(moved, retold=early.told))


def gathered(updates: Iterator[list[Execution]]) -> Iterator[list[Execution]]:
    """Yield what comes in quick succession together: a storm of events is no storm of writes.

    What comes after a rest is yielded at once. Raises what ``updates`` raises. They are read by a
    thread, which ends with the next of them once nobody waits any more.
    """
    pool = futures.ThreadPoolExecutor(max_workers=1, thread_name_prefix="stream")
    until = 0.0
    try:
        coming = pool.submit(next, updates, None)
        while (moved := coming.result()) is not None:
            coming = pool.submit(next, updates, None)
            while len(moved) < EVENTS_MAX and (more := _in_time(coming, until)) is not None:
                moved = moved + more
                coming = pool.submit(next, updates, None)
            until = time.monotonic() + GATHER_SECONDS
            yield moved
    finally:
        pool.shutdown(wait=False)


def _in_time(
    coming: futures.Future[list[Execution] | None], until: float
) -> list[Execution] | None:
    """Return what comes until then; None for nothing, an error or the end, which are next."""
    futures.wait([coming], timeout=max(until - time.monotonic(), AT_ONCE_SECONDS))
    return coming.result() if coming.done() and not coming.exception() else None


class _Early:
    """Ends that were told before the launch was on record: to be told again with what comes next.

    What comes too late for that is left to the first poll.
    """

    def __init__(self) -> None:
        self._since: dict[str, tuple[float, Execution]] = {}

    @property
    def told(self) -> list[Execution]:
        """The events, as they came."""
        return [remote for _, remote in self._since.values()]

    def keep(self, ends: Iterable[Execution]) -> None:
        """Keep these and forget the others, and what nobody has launched for long."""
        now, before = time.monotonic(), self._since
        since = {remote.id: before.get(remote.id, (now, remote)) for remote in ends}
        self._since = {pk: kept for pk, kept in since.items() if kept[0] > now - EARLY_SECONDS}


def take(moved: Iterable[Execution], *, retold: Iterable[Execution] = ()) -> list[Execution]:
    """Take the events that came together; of one execution the last counts.

    What is not ours, or has ended here before, changes nothing. ``retold``: events from before,
    which give no hint again. Returns the ends of what bears a tag and is not on record.
    """
    moved = list(moved)
    reruns.take(moved)
    hinted = {remote.id for remote in retold}
    told = {remote.id: remote for remote in [*retold, *moved]}
    known = poll.known(told)
    final = ActionExecution.FINAL
    open_ones = [(row, told[pk]) for pk, row in known.items() if row.status not in final]
    poll.keep_words([pair for pair in open_ones if pair[1].status not in OUTCOMES])
    inquiries.expect(_asking(told.values(), ours=known))
    ended = [pair for pair in open_ones if pair[1].status in OUTCOMES]
    poll.ended_all([pair for pair in ended if not _needs_a_look(*pair)])
    for row, remote in ended:
        if _needs_a_look(row, remote):
            poll.hint(st2_execution_id=remote.id, trace_tag="")
    # Our tag under another id: a launch whose answer is not in yet, or a task that it began.
    others = [remote for pk, remote in told.items() if pk not in known and remote.is_top_level]
    ends = [remote for remote in others if remote.status in OUTCOMES and remote.trace_tag]
    poll.hint_all({remote.trace_tag for remote in ends if remote.id not in hinted})
    return ends


def _asking(moved: Iterable[Execution], *, ours: Collection[str]) -> set[str]:
    """Return the ids of our executions that may ask a person, or of which a task asks one."""
    found = {one.id for one in moved if one.status in {*inquiries.MAY_ASK, "pending"}}
    parents = {one.parent_id for one in moved if one.status == "pending" and one.parent_id}
    return (found & set(ours)) | parents


def _needs_a_look(row: ActionExecution, remote: Execution) -> bool:
    # A workflow's tasks have to be fetched; what was launched twice may be there twice. An event
    # that contradicts the row settles nothing.
    is_ours = remote.is_top_level and remote.trace_tag in ("", row.trace_tag)
    has_tasks = row.step_order == 0 or bool(remote.children)
    return has_tasks or row.unanswered_launches > 0 or not is_ours


def _pause_seconds(failures: int) -> float:
    """Return how long to wait: longer each time, and not the same for all who lost StackStorm."""
    longest = min(0.5 * 2 ** min(failures, 10), LONGEST_WAIT_SECONDS)
    return random.uniform(longest / 2, longest)  # noqa: S311
