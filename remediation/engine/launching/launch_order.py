"""Launch order: by priority, then round-robin over buckets, oldest first.

A critical alert does not wait behind a storm of warnings, and a bucket with a thousand executions
does not delay another bucket.
"""

from __future__ import annotations

import datetime
import random
import time
from collections import deque
from collections.abc import Iterator

from django.db.models import QuerySet

from remediation import clock, queue
from remediation.engine.launching import parameters
from remediation.models import ActionExecution, Heartbeat, Pause
from remediation.models.raw_sql import due_in_bucket, next_waiting_value

READ_SIZE = 200  # ids read at once
LAUNCHER_SHARE = 20  # executions that one launcher claims at about the same time
LAUNCHER_SILENCE = datetime.timedelta(seconds=60)  # after which a launcher counts as dead
REFRESH_SECONDS = 0.5  # after which the ids are read again, for more urgent executions


class LaunchQueue:
    """The due StackStorm executions in launch order; each is returned once."""

    def __init__(self) -> None:
        self._ids: deque[int] = deque()
        self._taken: set[int] = set()
        self._isolated: list[ActionExecution] = []
        self._read_at = 0.0
        self._launchers = _launchers()

    def take(self, count: int) -> list[ActionExecution]:
        """Return at most ``count`` next executions; [] if none is due.

        Executions that another worker has reserved are skipped. Those whose worker died, and those
        of steps that were slow to render, are kept for ``take_isolated``.
        """
        if not self._ids or time.monotonic() > self._read_at + REFRESH_SECONDS:
            self._read()
        taken: list[ActionExecution] = []
        while self._ids and len(taken) < count:
            taken += self._load(count - len(taken))
        return taken

    def _load(self, count: int) -> list[ActionExecution]:
        ids = [self._ids.popleft() for _ in range(min(count, len(self._ids)))]
        self._taken.update(ids)
        rows = executions_with_related().in_bulk(ids)
        found = [rows[pk] for pk in ids if pk in rows and not rows[pk].is_reserved]
        isolated = [row for row in found if row.prepare_attempts or parameters.is_slow(row)]
        self._isolated += isolated
        return [row for row in found if row not in isolated]

    def take_isolated(self) -> list[ActionExecution]:
        """Return one execution to prepare in isolation, because it is slow or suspect; or [].

        Executions with the most deaths of workers come last: the others may only have been in the
        same batch as one of them.
        """
        if not self._isolated:
            return []
        chosen = min(self._isolated, key=lambda row: max(1, row.prepare_attempts))
        self._isolated.remove(chosen)
        return [chosen]

    @property
    def has_more(self) -> bool:
        """Whether ids that were read have not been taken yet."""
        return bool(self._ids)

    @property
    def taken_count(self) -> int:
        """How many executions were returned so far."""
        return len(self._taken)

    def _read(self) -> None:
        self._read_at = time.monotonic()
        waiting = next_ids(READ_SIZE) if not Pause.current(at=clock.now()) else []
        self._ids = deque(pk for pk in waiting if pk not in self._taken)
        # Launchers that all start with the first id would compete for the same rows. Each starts
        # at a random offset within the ids that are claimed at about the same time.
        offset = LAUNCHER_SHARE * random.randrange(self._launchers)  # noqa: S311 - not for security
        self._ids.rotate(-offset)


def _launchers() -> int:
    """Return the number of live processes that launch, if all workers have as many as this one."""
    alive = Heartbeat.alive(at=clock.now(), silence=LAUNCHER_SILENCE)
    prefix = queue.own_name(queue.LAUNCH, "")
    return (alive.filter(name__startswith=prefix).count() or 1) * queue.cluster_size()


def executions_with_related() -> QuerySet[ActionExecution]:
    """Return executions with the related rows that rendering and claiming read."""
    rows = ActionExecution.objects.select_related(
        "action", "run__alert", "run__bucket", "run__plan"
    )
    return rows.defer("run__alert__raw_data")


def next_ids(count: int) -> list[int]:
    """Return the ids of the first ``count`` due executions, without reading the later ones."""
    now = clock.now()
    ids: list[int] = []
    for priority in _values("priority"):
        left = count - len(ids)
        if not left:
            break
        buckets = (
            enumerate(due_in_bucket(priority, bucket, at=now, most=left))
            for bucket in _values("bucket", priority=priority)
        )
        in_turn = sorted((turn, due_at, pk) for rows in buckets for turn, (due_at, pk) in rows)
        ids += [pk for *_, pk in in_turn[:left]]
    return ids


def _values(field: str, **known: int) -> Iterator[int]:
    """Yield the values of a field of all waiting rows, ascending: one index lookup per value.

    The first lookup uses ``>= 0`` because MariaDB 10.11 treats ``> -1`` on an unsigned column as
    ``> 0``.
    """
    value = next_waiting_value(field, 0, **known)
    while value is not None:
        yield value
        value = next_waiting_value(field, value + 1, **known)
