"""Wake-ups for the workers: the one module that knows django-q2.

A wake-up may come 0, 1 or n times. It is a row of the database (the ORM broker), so inside a
transaction it is enqueued with the work that it announces, or not at all.
"""

from __future__ import annotations

import datetime
import logging
import os
from dataclasses import dataclass
from typing import Any

from django.db.models import Min
from django.utils import timezone
from django_q import cluster as django_q_cluster
from django_q.brokers.orm import ORM
from django_q.models import OrmQ, Schedule
from django_q.tasks import async_task

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Job:
    """The name of a function in ``remediation.jobs`` and the cluster that runs it."""

    path: str
    cluster: str


ENGINE, LOCAL = "engine", "local"
LAUNCH_DUE = Job("remediation.jobs.launch_due", ENGINE)
POLL_DUE = Job("remediation.jobs.poll_due", ENGINE)
TICK = Job("remediation.jobs.tick", ENGINE)
CARRY_OUT_STOPS = Job("remediation.jobs.carry_out_stops", ENGINE)
RUN_LOCAL = Job("remediation.jobs.run_local", LOCAL)
ALL_JOBS = (LAUNCH_DUE, POLL_DUE, TICK, CARRY_OUT_STOPS, RUN_LOCAL)
CLUSTERS = (ENGINE, LOCAL)


class TimedBroker(ORM):  # type: ignore[misc]  # django-q2 has no types
    """The ORM broker with a time before which a wake-up is not delivered."""

    def __init__(self, list_key: str, *, at: datetime.datetime) -> None:
        """Deliver into the cluster ``list_key`` from ``at`` on."""
        super().__init__(list_key=list_key)
        self.at = at

    def enqueue(self, task: Any) -> int:
        """Store the wake-up; django-q2 leaves alone what is locked until later."""
        return int(OrmQ.objects.create(key=self.list_key, payload=task, lock=self.at).pk)


def enqueue(job: Job, *, at: datetime.datetime | None = None) -> None:
    """Wake a worker for ``job``, now or at a time."""
    broker = TimedBroker(job.cluster, at=at or timezone.now())
    async_task(job.path, broker=broker, cluster=job.cluster)


def oldest_waiting(cluster: str) -> datetime.datetime | None:
    """Return since when the oldest due wake-up of a cluster waits, or None."""
    due = OrmQ.objects.filter(key=cluster, lock__lte=timezone.now())
    oldest: datetime.datetime | None = due.aggregate(since=Min("lock"))["since"]
    return oldest


def schedule_every_minute(job: Job) -> None:
    """Have django-q2 wake ``job`` every minute, beside what is enqueued."""
    Schedule.objects.update_or_create(
        name=job.path,
        defaults={
            "func": job.path,
            "schedule_type": Schedule.MINUTES,
            "minutes": 1,
            "repeats": -1,
            "cluster": job.cluster,
        },
    )


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
