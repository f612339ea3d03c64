"""Who is launched next when much waits: by priority, then the buckets in turn, the oldest first.

So a critical alert does not wait behind a storm of warnings, and a bucket with a thousand
executions does not keep those of another one waiting.
"""

from __future__ import annotations

import datetime
import random
import time
from collections import deque
from collections.abc import Iterator

from django.db import connection
from django.db.models import QuerySet

from remediation import clock, queue
from remediation.engine.launching import parameters
from remediation.models import ActionExecution, Heartbeat, Pause
from remediation.models.statements import fetch

LENGTH = 200  # that is read at once
SHARE = 20  # that one launcher claims at about the same time
LAUNCHER_SILENCE = datetime.timedelta(seconds=60)
FRESH_SECONDS = 0.5  # after which the line is read anew: somebody more urgent may have come


class LaunchQueue:
    """The due StackStorm executions in their order; each is handed out once."""

    def __init__(self) -> None:
        self._ids: deque[int] = deque()
        self._handed_out: set[int] = set()
        self._alone: list[ActionExecution] = []
        self._read_at = 0.0
        self._launchers = _launchers()

    def take(self, count: int) -> list[ActionExecution]:
        """Return the next ones, at most ``count``; [] when nobody waits.

        Those that another worker prepares now are passed over. Those with which a worker died, and
        steps that were slow to render lately, are kept for ``take_isolated``.
        """
        if not self._ids or time.monotonic() > self._read_at + FRESH_SECONDS:
            self._read()
        taken: list[ActionExecution] = []
        while self._ids and len(taken) < count:
            taken += self._load(count - len(taken))
        return taken

    def _load(self, count: int) -> list[ActionExecution]:
        ids = [self._ids.popleft() for _ in range(min(count, len(self._ids)))]
        self._handed_out.update(ids)
        rows = executions_with_related().in_bulk(ids)
        found = [rows[pk] for pk in ids if pk in rows and not rows[pk].is_in_hand]
        alone = [row for row in found if row.prepare_attempts or parameters.is_slow(row)]
        self._alone += alone
        return [row for row in found if row not in alone]

    def take_isolated(self) -> list[ActionExecution]:
        """Return one execution that is prepared alone: a worker died with it, or it is slow; or [].

        Those with the most deaths come last: the others may have been beside one of them.
        """
        if not self._alone:
            return []
        chosen = min(self._alone, key=lambda row: max(1, row.prepare_attempts))
        self._alone.remove(chosen)
        return [chosen]

    @property
    def handed_out(self) -> int:
        """How many were handed out so far."""
        return len(self._handed_out)

    def _read(self) -> None:
        self._read_at = time.monotonic()
        waiting = in_order(LENGTH) if not Pause.current(at=clock.now()) else []
        self._ids = deque(pk for pk in waiting if pk not in self._handed_out)
        # Who all begin with the first would only meet there: each begins at a place of its own,
        # among those that are all taken at the same time.
        self._ids.rotate(-SHARE * random.randrange(self._launchers))  # noqa: S311


def _launchers() -> int:
    """Return how many clusters launch at the same time as this one, itself included."""
    alive = Heartbeat.alive(at=clock.now(), silence=LAUNCHER_SILENCE)
    prefix = queue.own_name(queue.LAUNCH, "")
    return alive.filter(name__startswith=prefix).count() or 1


def executions_with_related() -> QuerySet[ActionExecution]:
    """Return executions with the rows that rendering and claiming them reads."""
    rows = ActionExecution.objects.select_related(
        "action", "run__alert", "run__bucket", "run__plan"
    )
    return rows.defer("run__alert__raw_data")


def in_order(count: int) -> list[int]:
    """Return the ids of the first ``count`` due executions, without a look at those behind them."""
    now = connection.ops.adapt_datetimefield_value(clock.now())
    ids: list[int] = []
    for priority in _values("priority"):
        left = count - len(ids)
        if not left:
            break
        lines = (
            enumerate(fetch(_LINE, [priority, bucket, now, left]))
            for bucket in _values("bucket_id", priority=priority)
        )
        in_turn = sorted((turn, due_at, pk) for one in lines for turn, (due_at, pk) in one)
        ids += [pk for *_, pk in in_turn[:left]]
    return ids


def _values(column: str, **known: int) -> Iterator[int]:
    """Yield the values of a column of all that wait, ascending: each is one step in the index.

    A DISTINCT would read the whole line for that, in MariaDB as in SQLite. Not by ``> -1``: with
    an unsigned column MariaDB 10.11 takes that for ``> 0``.
    """
    conditions = "".join(f" AND {name} = %s" for name in known)
    sql = f"SELECT MIN({column}) {_WAITING}{conditions} AND {column} >= %s"
    [(value,)] = fetch(sql, [*known.values(), 0])
    while value is not None:
        yield value
        [(value,)] = fetch(sql, [*known.values(), value + 1])


# What one index holds in this order: raw, for the ORM takes longer to write it than to run it.
_WAITING = "FROM action_executions WHERE status = 'pending' AND executed_via_stackstorm = 1"
_LINE = (
    f"SELECT due_at, id {_WAITING} AND priority = %s AND bucket_id = %s AND due_at <= %s"
    " ORDER BY due_at, id LIMIT %s"
)
