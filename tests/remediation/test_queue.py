"""Wake-ups are delivered to the right cluster, at the right time, with their transaction."""

import datetime
from importlib import import_module

import pytest
from django.db import transaction
from django.utils import timezone
from django_q.models import OrmQ
from django_q.signing import SignedPackage

from remediation import queue

pytestmark = pytest.mark.django_db


def delivered(cluster):
    """Return the functions that a cluster dequeues now."""
    tasks = queue.WorkerBroker(cluster).dequeue() or []
    return [SignedPackage.loads(payload)["func"] for _, payload in tasks]


@pytest.mark.parametrize("job", queue.ALL_JOBS, ids=lambda job: job.path)
def test_every_job_is_a_function_with_an_existing_cluster(job):
    module, _, name = job.path.rpartition(".")

    assert callable(getattr(import_module(module), name))
    assert job.cluster in queue.CLUSTERS


@pytest.mark.parametrize("job", queue.ALL_JOBS, ids=lambda job: job.path)
def test_a_wake_up_is_delivered_to_its_cluster_only(job):
    queue.enqueue(job)

    for other in set(queue.CLUSTERS) - {job.cluster}:
        assert delivered(other) == []
    assert delivered(job.cluster) == [job.path]


def test_a_wake_up_is_delivered_to_one_worker():
    queue.enqueue(queue.LAUNCH_DUE)

    assert delivered(queue.LAUNCH) == [queue.LAUNCH_DUE.path]
    assert delivered(queue.LAUNCH) == []


def test_a_wake_up_is_not_delivered_before_its_time():
    soon = timezone.now() + datetime.timedelta(seconds=30)
    queue.enqueue(queue.TICK, at=soon)

    assert delivered(queue.FOLLOW) == []

    OrmQ.objects.update(lock=timezone.now() - datetime.timedelta(microseconds=1))
    assert delivered(queue.FOLLOW) == [queue.TICK.path]


@pytest.mark.django_db(transaction=True)
def test_a_rolled_back_transaction_enqueues_no_wake_up():
    with transaction.atomic():
        queue.enqueue(queue.LAUNCH_DUE)
        transaction.set_rollback(True)

    assert not OrmQ.objects.exists()


def test_the_due_wake_ups_of_each_cluster_are_counted():
    now = timezone.now()
    for seconds in (-10, -60, 60):
        queue.enqueue(queue.LAUNCH_DUE, at=now + datetime.timedelta(seconds=seconds))

    due = queue.due_wake_ups()
    assert due[queue.LAUNCH] == queue.DueWakeUps(2, now - datetime.timedelta(seconds=60))
    assert due[queue.LOCAL] == queue.DueWakeUps()


def test_discard_pending_deletes_the_due_wake_ups_of_the_job():
    now = timezone.now()
    for seconds in (-10, 0, 2, 60):
        queue.enqueue(queue.LAUNCH_DUE, at=now + datetime.timedelta(seconds=seconds))
    queue.enqueue(queue.TICK)

    queue.discard_pending(queue.LAUNCH_DUE)
    waiting = OrmQ.objects.filter(key=queue.LAUNCH)
    assert waiting.count() == 2, "later ones are kept"

    queue.discard_pending(queue.LAUNCH_DUE, until=now + datetime.timedelta(seconds=30))
    assert waiting.count() == 1
    assert OrmQ.objects.filter(key=queue.FOLLOW).count() == 1, "those of other jobs are kept"


def test_a_reserved_wake_up_is_not_discarded():
    queue.enqueue(queue.LAUNCH_DUE)
    assert delivered(queue.LAUNCH)

    queue.discard_pending(queue.LAUNCH_DUE)

    assert OrmQ.objects.count() == 1, "it is delivered again if its worker dies"
