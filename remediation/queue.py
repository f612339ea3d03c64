"""Wake-ups for the workers: the one module that knows django-q2.

A wake-up may come 0, 1 or n times. It is a row of the database (the ORM broker), so inside a
transaction it is enqueued with the work that it announces, or not at all.
"""

from __future__ import annotations

import datetime
import logging
import os
import time
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from django.db import close_old_connections, connection
from django.db.models import Min, QuerySet, Value
from django_q import cluster as django_q_cluster
from django_q.brokers.orm import ORM
from django_q.conf import Conf
from django_q.models import OrmQ, Task
from django_q.tasks import async_task

from remediation import clock
from remediation.models.inserts import insert

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Job:
    """The name of a function in ``remediation.jobs`` and the cluster that runs it."""

    path: str
    cluster: str


# A cluster's queue holds wake-ups of one job: each says that there is something to do, no more.
LAUNCH, FOLLOW, LOCAL = "launch", "follow", "local"
LAUNCH_DUE = Job("remediation.jobs.launch_due", LAUNCH)
TICK = Job("remediation.jobs.tick", FOLLOW)
RUN_LOCAL = Job("remediation.jobs.run_local", LOCAL)
BEAT = Job("remediation.jobs.beat", FOLLOW)
ALL_JOBS = (LAUNCH_DUE, TICK, RUN_LOCAL, BEAT)
CLUSTERS = (LAUNCH, FOLLOW, LOCAL)
ASKED_EARLY = datetime.timedelta(hours=1)
# In the environment of the clusters: which worker command started them.
WORKER_ID = "WORKER_ID"
ABSORBED_MAX = 5_000  # wake-ups that one job deletes


class Packer(ORM):  # type: ignore[misc]  # django-q2 has no types
    """A broker that keeps what it is to enqueue."""

    def enqueue(self, task: Any) -> int:
        """Keep the signed wake-up; there is no row yet that could have an id."""
        self.package: str = task
        return 0


@lru_cache(maxsize=32)
def _package(path: str, cluster: str) -> str:
    """Return the signed wake-up of a job: the same each time, as it says no more than its name.

    Django-q2 knows it by an id, so the failures of one job, enqueued by one process, are one row.
    """
    packer = Packer(list_key=cluster)
    async_task(path, broker=packer, cluster=cluster)
    return packer.package


def enqueue(job: Job, *, at: datetime.datetime | None = None) -> None:
    """Wake a worker for ``job``, now or at a time."""
    _enqueue(job.path, job.cluster, at or clock.now())


def _enqueue(path: str, cluster: str, at: datetime.datetime) -> None:
    # Django-q2 leaves alone what is locked until later.
    insert([OrmQ(key=cluster, payload=_package(path, cluster), lock=at)])


def absorb(job: Job, *, until: datetime.datetime | None = None) -> None:
    """Let the job in hand stand for all the wake-ups that wait beside it.

    To be called before it looks for work: what they announce is committed, so it will be seen.
    Then a storm of notifications costs no storm of jobs. ``until``: those too that are planned for
    a time before that.
    """
    until = until or clock.now()
    # By their ids: a scan would wait for the locks of those that are just being enqueued. What is
    # left of very many is absorbed by the next job.
    waiting = OrmQ.objects.filter(key=job.cluster, lock__lte=until).values_list("pk", flat=True)
    if ids := list(waiting[:ABSORBED_MAX]):
        OrmQ.objects.filter(pk__in=ids).delete()


class WorkerBroker(ORM):  # type: ignore[misc]  # django-q2 has no types
    """The ORM broker of a cluster; it also takes what is sent to this very cluster.

    All machines share a cluster's queue. A sign of life has to come from the one that is asked.
    What a cluster at rest asks twenty times a second is raw: the ORM takes longer to write it than
    to run it.
    """

    DUE = (
        "SELECT id, payload, {lock} FROM django_q_ormq WHERE {key} IN (%s, %s) AND {lock} < %s"
        " ORDER BY {key} = %s DESC, id LIMIT 1"
    )
    TAKE = "UPDATE django_q_ormq SET {lock} = %s WHERE id = %s AND {lock} = %s"
    FORGET = "DELETE FROM django_q_ormq WHERE id = %s"

    def __init__(self, list_key: str) -> None:
        """Take the wake-ups of the cluster ``list_key``."""
        super().__init__(list_key=list_key)
        self.own = own_name(list_key, os.environ.get(WORKER_ID, ""))

    def dequeue(self) -> list[tuple[int, str]] | None:
        """Reserve a wake-up that is due; what is sent to this cluster alone comes first."""
        close_old_connections_unless_atomic()
        now = clock.now()
        with connection.cursor() as cursor:
            cursor.execute(_worded(self.DUE), [self.own, self.list_key, _time(now), self.own])
            row = cursor.fetchone()
            if row is None:
                time.sleep(Conf.POLL)
                return None
            pk, payload, lock = row
            until = _time(now + datetime.timedelta(seconds=Conf.RETRY))
            cursor.execute(_worded(self.TAKE), [until, pk, lock])
            # Another cluster may have been faster.
            return [(pk, payload)] if cursor.rowcount else None

    def delete(self, task_id: int) -> None:
        """Forget a wake-up that was carried out."""
        close_old_connections_unless_atomic()
        with connection.cursor() as cursor:
            cursor.execute(self.FORGET, [task_id])


def close_old_connections_unless_atomic() -> None:
    """Let go of a connection that is too old or broken, as the ORM broker does."""
    if not connection.in_atomic_block:
        close_old_connections()


def _worded(sql: str) -> str:
    quoted = connection.ops.quote_name
    return sql.format(key=quoted("key"), lock=quoted("lock"))


def _time(at: datetime.datetime) -> Any:
    return connection.ops.adapt_datetimefield_value(at)


def own_name(cluster: str, worker_id: str) -> str:
    """Return the name of one worker's own cluster, which is also the name of its queue."""
    return f"{cluster}@{worker_id}"


def this_cluster() -> str:
    """Return the own name of the cluster that this process belongs to, '' outside of one."""
    worker_id = os.environ.get(WORKER_ID, "")
    return own_name(Conf.CLUSTER_NAME, worker_id) if worker_id else ""


def ask_for_a_beat(own: str) -> None:
    """Have one worker's own cluster prove that it works."""
    # Long due: it is taken even if the clock is set back before it is.
    _enqueue(BEAT.path, own, clock.now() - ASKED_EARLY)


def is_asked(own: str) -> bool:
    """Return whether a cluster was asked for a sign of life and has not finished giving it."""
    return bool(OrmQ.objects.filter(key=own).exists())


def forget(own: str) -> None:
    """Ask a cluster no more."""
    OrmQ.objects.filter(key=own).delete()


def prune(*, before: datetime.datetime, most: int) -> None:
    """Delete old records of failed jobs, and wake-ups that no cluster will take.

    At most ``most`` of each.
    """
    failed = Task.objects.filter(stopped__lt=before)
    Task.objects.filter(pk__in=list(failed.values_list("pk", flat=True)[:most])).delete()
    lost = OrmQ.objects.filter(lock__lt=before).exclude(key__in=CLUSTERS)
    OrmQ.objects.filter(pk__in=list(lost.values_list("pk", flat=True)[:most])).delete()


def oldest_waiting(cluster: str) -> datetime.datetime | None:
    """Return since when the oldest due wake-up of a cluster waits, or None."""
    due = OrmQ.objects.filter(key=cluster, lock__lte=clock.now())
    oldest: datetime.datetime | None = due.aggregate(since=Min("lock"))["since"]
    return oldest


def neglected(*, before: datetime.datetime) -> QuerySet[Any, dict[str, Any]]:
    """Return the clusters whose wake-ups were due before a time and wait: key and since.

    With an empty ``text`` and 0 ``failures``, for a union with Problem.
    """
    due = OrmQ.objects.filter(key__in=CLUSTERS, lock__lte=before)
    rows: QuerySet[Any, dict[str, Any]] = due.values("key").annotate(
        since=Min("lock"), text=Value(""), failures=Value(0)
    )
    return rows


def run_cluster() -> None:
    """Run the cluster that Q_CLUSTER_NAME names, until it is asked to stop or cannot go on."""
    django_q_cluster.Sentinel = Guard
    django_q_cluster.Cluster().start()


class Guard(django_q_cluster.Sentinel):  # type: ignore[misc]  # django-q2 has no types
    """django-q2's guard of a cluster's processes; it gives up where the cluster would hang.

    A process that is killed while it waits takes the lock of the queue with it: all that come
    after it wait for ever (django-q2 issue 23). So the cluster ends, to be started anew.
    """

    WAITING = -1  # a worker's timer while it has no task

    def reincarnate(self, process: Any) -> None:
        """Replace a process that has ended, or end the whole cluster."""
        is_helper = process in (self.monitor, self.pusher)
        is_waiting = is_helper or process.timer.value == self.WAITING
        if process.exitcode and is_waiting:
            logger.critical("A process that waited for work was killed: the cluster ends.")
            for other in (self.monitor, self.pusher, *self.pool):
                other.kill()
            os._exit(1)
        super().reincarnate(process)
