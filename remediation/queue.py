"""Wake-ups: queued jobs for the workers. Only this module and ``cluster`` import django-q2.

A wake-up may be delivered 0, 1 or more times. It is a database row (ORM broker), so a transaction
enqueues it together with the work that it announces, or not at all.
"""

from __future__ import annotations

import datetime
import logging
import os
import time
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from django.db import Error, close_old_connections, connection
from django.db.models import Count, Min, QuerySet, Value
from django_q.brokers.orm import ORM
from django_q.conf import Conf
from django_q.models import OrmQ, Task
from django_q.tasks import async_task

from remediation import clock
from remediation.models.inserts import insert

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Job:
    """A function in ``remediation.jobs`` and the cluster that runs it."""

    path: str
    cluster: str


# All wake-ups of a cluster's queue are for one job and carry no data.
LAUNCH, FOLLOW, LOCAL = "launch", "follow", "local"
LAUNCH_DUE = Job("remediation.jobs.launch_due", LAUNCH)
TICK = Job("remediation.jobs.tick", FOLLOW)
RUN_LOCAL = Job("remediation.jobs.run_local", LOCAL)
BEAT = Job("remediation.jobs.beat", FOLLOW)
ALL_JOBS = (LAUNCH_DUE, TICK, RUN_LOCAL, BEAT)
CLUSTERS = (LAUNCH, FOLLOW, LOCAL)
BACKDATED_BY = datetime.timedelta(hours=1)  # see ``request_heartbeat``
# Environment variable of the clusters: the id of the worker command that started them.
WORKER_ID = "WORKER_ID"
RETRY_SECONDS = 1.0  # after an error of the database
DISCARDED_MAX = 5_000  # wake-ups that one job deletes


class CapturingBroker(ORM):  # type: ignore[misc]  # django-q2 has no types
    """A broker that keeps the signed package instead of storing it."""

    def enqueue(self, task: Any) -> int:
        """Keep the package; no row exists yet, so the id is 0."""
        self.package: str = task
        return 0


@lru_cache(maxsize=32)
def _package(path: str, cluster: str) -> str:
    """Return the signed package of a job, which is the same each time.

    It contains one django-q2 task id, so the failures of a job enqueued by one process are one row.
    """
    broker = CapturingBroker(list_key=cluster)
    async_task(path, broker=broker, cluster=cluster)
    return broker.package


def enqueue(job: Job, *, at: datetime.datetime | None = None) -> None:
    """Enqueue a wake-up for ``job``, due now or at a time."""
    _enqueue(job.path, job.cluster, at or clock.now())


def _enqueue(path: str, cluster: str, at: datetime.datetime) -> None:
    # Django-q2 ignores rows that are locked until later.
    insert([OrmQ(key=cluster, payload=_package(path, cluster), lock=at)])


def discard_pending(job: Job, *, until: datetime.datetime | None = None) -> None:
    """Delete the other due wake-ups of this job; this run does their work.

    Call it before the job looks for work: the work they announce is committed and will be found.
    A storm of notifications then causes few jobs. ``until``: also delete wake-ups due before that.
    """
    until = until or clock.now()
    # Delete by id: a scan would wait for the locks of rows that are being enqueued. The next job
    # deletes those above the limit.
    waiting = OrmQ.objects.filter(key=job.cluster, lock__lte=until).values_list("pk", flat=True)
    if ids := list(waiting[:DISCARDED_MAX]):
        OrmQ.objects.filter(pk__in=ids).delete()


class WorkerBroker(ORM):  # type: ignore[misc]  # django-q2 has no types
    """The ORM broker of a cluster, which also takes wake-ups for this process group only.

    All machines share a cluster's queue, but a heartbeat request is for one of them. The SQL is
    raw: building the statements with the ORM takes longer than running them.
    """

    DUE = (
        "SELECT id, payload, {lock} FROM {table} WHERE {key} IN (%s, %s) AND {lock} < %s"
        " ORDER BY {key} = %s DESC, id LIMIT 1"
    )
    TAKE = "UPDATE {table} SET {lock} = %s WHERE id = %s AND {lock} = %s"
    DELETE = "DELETE FROM {table} WHERE id = %s"

    def __init__(self, list_key: str) -> None:
        """Serve the cluster ``list_key``."""
        super().__init__(list_key=list_key)
        self.own = own_name(list_key, os.environ.get(WORKER_ID, ""))

    def dequeue(self) -> list[tuple[int, str]] | None:
        """Reserve a due wake-up; those for this process group only come first.

        Waits after an error of the database; the process would end otherwise.
        """
        try:
            return self._dequeue()
        except Error as error:
            logger.warning("No wake-up can be taken: %s", error)
            connection.close()
            time.sleep(RETRY_SECONDS)
            return None

    def _dequeue(self) -> list[tuple[int, str]] | None:
        close_old_connections_unless_atomic()
        now = clock.now()
        with connection.cursor() as cursor:
            cursor.execute(_with_names(self.DUE), [self.own, self.list_key, _time(now), self.own])
            row = cursor.fetchone()
            if row is None:
                return None
            pk, payload, lock = row
            until = _time(now + datetime.timedelta(seconds=Conf.RETRY))
            cursor.execute(_with_names(self.TAKE), [until, pk, lock])
            # Another cluster may have reserved it first.
            return [(pk, payload)] if cursor.rowcount else None

    def delete(self, task_id: int) -> None:
        """Delete a wake-up whose job has ended. After an error it is delivered again."""
        try:
            close_old_connections_unless_atomic()
            with connection.cursor() as cursor:
                cursor.execute(_with_names(self.DELETE), [task_id])
        except Error as error:
            logger.warning("A wake-up that was handled is not deleted: %s", error)
            connection.close()


def close_old_connections_unless_atomic() -> None:
    """Close a connection that is too old or broken, as the ORM broker does."""
    if not connection.in_atomic_block:
        close_old_connections()


def _with_names(sql: str) -> str:
    quoted = connection.ops.quote_name
    return sql.format(table=quoted(OrmQ._meta.db_table), key=quoted("key"), lock=quoted("lock"))


def _time(at: datetime.datetime) -> Any:
    return connection.ops.adapt_datetimefield_value(at)


DUE_CLUSTERS = "EXISTS (SELECT 1 FROM {table} WHERE {key} IN (%s, %s) AND {lock} < %s)"


def due_clusters(worker_id: str) -> list[str]:
    """Return the clusters with due wake-ups, for all workers or for this one only.

    Called twenty times a second. Raises Error.
    """
    now = _time(clock.now())
    exists = ", ".join([_with_names(DUE_CLUSTERS)] * len(CLUSTERS))
    values = [value for name in CLUSTERS for value in (name, own_name(name, worker_id), now)]
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {exists}", values)
        return [name for name, is_due in zip(CLUSTERS, cursor.fetchone(), strict=True) if is_due]


@dataclass(slots=True)
class Place:
    """This process's place among those of its cluster in one worker."""

    number: int = 0
    count: int = 1
    is_stopping: Any = None  # shared with the cluster's process


_place = Place()


def set_place(number: int, count: int, is_stopping: Any) -> None:
    """Set the place of this process; ``is_stopping.value`` becomes true when the cluster stops."""
    _place.number, _place.count, _place.is_stopping = number, count, is_stopping


def is_stopping() -> bool:
    """Return whether this process must end its job early. Remaining work is found again."""
    return bool(_place.is_stopping and _place.is_stopping.value)


def cluster_size() -> int:
    """Return the number of processes of this process's cluster in one worker."""
    return _place.count


def share(limit: int) -> int:
    """Return the part of a worker's limit that this process may use, at least 1."""
    part, rest = divmod(limit, _place.count)
    return max(1, part + (_place.number < rest))


def own_name(cluster: str, worker_id: str) -> str:
    """Return the name of one worker's cluster and of its own queue."""
    return f"{cluster}@{worker_id}"


def this_cluster() -> str:
    """Return the own name of this process's cluster, '' outside a cluster."""
    worker_id = os.environ.get(WORKER_ID, "")
    return own_name(Conf.CLUSTER_NAME, worker_id) if worker_id else ""


def request_heartbeat(own: str) -> None:
    """Enqueue a job for one worker's cluster that records a heartbeat."""
    # Backdated, so that it stays due if the clock is set back.
    _enqueue(BEAT.path, own, clock.now() - BACKDATED_BY)


def is_heartbeat_pending(own: str) -> bool:
    """Return whether a requested heartbeat job has not ended yet."""
    return bool(OrmQ.objects.filter(key=own).exists())


def discard_heartbeat_requests(own: str) -> None:
    """Delete the heartbeat requests of a cluster."""
    OrmQ.objects.filter(key=own).delete()


def prune(*, before: datetime.datetime, most: int) -> None:
    """Delete old records of failed jobs and wake-ups without a cluster, ``most`` of each."""
    failed = Task.objects.filter(stopped__lt=before)
    Task.objects.filter(pk__in=list(failed.values_list("pk", flat=True)[:most])).delete()
    lost = OrmQ.objects.filter(lock__lt=before).exclude(key__in=CLUSTERS)
    OrmQ.objects.filter(pk__in=list(lost.values_list("pk", flat=True)[:most])).delete()


@dataclass(frozen=True, slots=True)
class DueWakeUps:
    """How many wake-ups of a cluster are due, and since when the oldest one is."""

    count: int = 0
    since: datetime.datetime | None = None


def due_wake_ups() -> dict[str, DueWakeUps]:
    """Return the due wake-ups of each cluster that no worker has taken, in one query."""
    due = OrmQ.objects.filter(key__in=CLUSTERS, lock__lte=clock.now()).values("key")
    rows = due.annotate(count=Count("pk"), since=Min("lock")).values_list("key", "count", "since")
    found = {key: DueWakeUps(count, since) for key, count, since in rows}
    return {cluster: found.get(cluster, DueWakeUps()) for cluster in CLUSTERS}


def overdue(*, before: datetime.datetime) -> QuerySet[Any, dict[str, Any]]:
    """Return clusters with wake-ups due before a time: ``key`` and the oldest due time ``since``.

    ``text`` is empty and ``failures`` 0, for a union with Problem.
    """
    due = OrmQ.objects.filter(key__in=CLUSTERS, lock__lte=before)
    rows: QuerySet[Any, dict[str, Any]] = due.values("key").annotate(
        since=Min("lock"), text=Value(""), failures=Value(0)
    )
    return rows
