"""Settle executions as soon as StackStorm's event stream reports their end.

The stream saves one poll per execution but may lose events. Polls therefore continue at longer
intervals, and events that need more data than they carry only make the poll due.
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
from remediation.engine.outcomes import open_inquiries, poll_hints, poll_interval, reruns
from remediation.engine.outcomes.execution_ids import rows_by_st2_id
from remediation.engine.outcomes.outcome import OUTCOMES
from remediation.engine.outcomes.remote_outcomes import settle_without_tasks
from remediation.engine.outcomes.remote_status import store_remote_statuses
from remediation.models import ActionExecution, Heartbeat
from remediation.stackstorm import Execution, StackStormClient, StackStormError

logger = logging.getLogger(__name__)

LONGEST_WAIT_SECONDS = 30.0  # between two attempts to connect
UPKEEP_SECONDS = 1.0  # between two heartbeats and checks of the database connection
BATCH_SECONDS = 0.03  # after a batch, in which further events are collected
BATCH_EVENTS_MAX = 100
RECEIVED_SECONDS = 0.002  # to wait for an event that the reader has received already
PENDING_SECONDS = 5.0  # that a final event waits for its launch to be recorded


def follow(*, client: StackStormClient, wait: Callable[[float], object] = time.sleep) -> NoReturn:
    """Follow the stream forever, reconnecting after ``wait(seconds)``."""
    failures = 0
    while True:
        connected_at = time.monotonic()
        try:
            listen(client=client)
        except (StackStormError, Error) as error:
            lasted = time.monotonic() - connected_at
            failures = 0 if lasted > LONGEST_WAIT_SECONDS else failures + 1
            logger.warning("The stream is lost, will reconnect; polling continues: %s", error)
        wait(_reconnect_delay(failures))


def listen(*, client: StackStormClient) -> None:
    """Apply the events of one connection until it is cut, which raises StackStormError."""
    upkeep_at = -UPKEEP_SECONDS
    is_first = True
    pending = _PendingEvents()
    for updates in batched(client.follow(settings.ST2_STREAM_URL)):
        if time.monotonic() > upkeep_at + UPKEEP_SECONDS:
            upkeep_at = time.monotonic()
            # The database may have closed an idle connection.
            close_old_connections()
            Heartbeat.record(poll_interval.STREAM_HEARTBEAT, at=clock.now())
        if is_first:
            # The stream does not repeat events from before the connection.
            poll_hints.hint_all_running()
            is_first = False
        pending.replace(apply_events(updates, pending=pending.events))


def batched(updates: Iterator[list[Execution]]) -> Iterator[list[Execution]]:
    """Yield events in batches, so that a storm of events does not become a storm of writes.

    The first event after a pause is yielded at once. Raises what ``updates`` raises. A thread reads
    ``updates``; after the consumer stops, it ends with the next item.
    """
    pool = futures.ThreadPoolExecutor(max_workers=1, thread_name_prefix="stream")
    until = 0.0
    try:
        coming = pool.submit(next, updates, None)
        while (batch := coming.result()) is not None:
            coming = pool.submit(next, updates, None)
            while len(batch) < BATCH_EVENTS_MAX and (more := _received(coming, until)) is not None:
                batch = batch + more
                coming = pool.submit(next, updates, None)
            until = time.monotonic() + BATCH_SECONDS
            yield batch
    finally:
        pool.shutdown(wait=False)


def _received(
    coming: futures.Future[list[Execution] | None], until: float
) -> list[Execution] | None:
    """Return the events received by ``until``; None if there are none, or for an error or the end.

    The caller reads an error or the end from ``coming`` afterwards.
    """
    futures.wait([coming], timeout=max(until - time.monotonic(), RECEIVED_SECONDS))
    return coming.result() if coming.done() and not coming.exception() else None


class _PendingEvents:
    """Final events that arrived before the launch was recorded; re-applied with the next batch.

    An event that stays unmatched for PENDING_SECONDS is dropped and left to the first poll.
    """

    def __init__(self) -> None:
        self._since: dict[str, tuple[float, Execution]] = {}

    @property
    def events(self) -> list[Execution]:
        """The events, in the order they arrived."""
        return [remote for _, remote in self._since.values()]

    def replace(self, events: Iterable[Execution]) -> None:
        """Keep these events and drop all others and those that are too old."""
        now, before = time.monotonic(), self._since
        since = {remote.id: before.get(remote.id, (now, remote)) for remote in events}
        self._since = {
            st2_id: entry for st2_id, entry in since.items() if entry[0] > now - PENDING_SECONDS
        }


def apply_events(
    updates: Iterable[Execution], *, pending: Iterable[Execution] = ()
) -> list[Execution]:
    """Apply a batch of events; the last event of an execution counts.

    Events of other systems' executions and of executions that have ended here change nothing.
    ``pending``: earlier events to apply again, for which no poll is hinted again. Returns the final
    top-level events that have a trace tag but no row with their id yet.
    """
    updates = list(updates)
    reruns.record_events(updates)
    hinted = {remote.id for remote in pending}
    latest = {remote.id: remote for remote in [*pending, *updates]}
    rows = rows_by_st2_id(latest)
    final = ActionExecution.FINAL
    unsettled = [(row, latest[st2_id]) for st2_id, row in rows.items() if row.status not in final]
    store_remote_statuses([pair for pair in unsettled if pair[1].status not in OUTCOMES])
    open_inquiries.check_with_next_poll(_ids_with_inquiries(latest.values(), ours=rows))
    ended = [pair for pair in unsettled if pair[1].status in OUTCOMES]
    settle_without_tasks([pair for pair in ended if not _needs_poll(*pair)])
    for row, remote in ended:
        if _needs_poll(row, remote):
            poll_hints.hint(st2_execution_id=remote.id, trace_tag="")
    # Without a row, but perhaps with our tag: a launch whose response has not been recorded yet.
    # Tasks and callbacks inherit the tag as well, but are not top-level executions.
    others = [one for st2_id, one in latest.items() if st2_id not in rows and one.is_top_level]
    unmatched = [remote for remote in others if remote.status in OUTCOMES and remote.trace_tag]
    poll_hints.hint_trace_tags({one.trace_tag for one in unmatched if one.id not in hinted})
    return unmatched


def _ids_with_inquiries(updates: Iterable[Execution], *, ours: Collection[str]) -> set[str]:
    """Return the ids of executions that may have an open inquiry, themselves or in a task."""
    statuses = {*open_inquiries.PAUSED_STATUSES, "pending"}
    found = {one.id for one in updates if one.status in statuses}
    parents = {one.parent_id for one in updates if one.status == "pending" and one.parent_id}
    return (found & set(ours)) | parents


def _needs_poll(row: ActionExecution, remote: Execution) -> bool:
    # The poll reads a workflow's tasks and looks for duplicates of an unanswered launch. An event
    # that contradicts its row (another tag, not top-level) must not settle it.
    is_ours = remote.is_top_level and remote.trace_tag in ("", row.trace_tag)
    has_tasks = row.step_order == 0 or bool(remote.children)
    return has_tasks or row.unanswered_launches > 0 or not is_ours


def _reconnect_delay(failures: int) -> float:
    """Return the seconds to wait: doubling, with jitter to spread the reconnects of followers."""
    longest = min(0.5 * 2 ** min(failures, 10), LONGEST_WAIT_SECONDS)
    return random.uniform(longest / 2, longest)  # noqa: S311 - no secret
