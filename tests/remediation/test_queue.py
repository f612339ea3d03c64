"""Wake-ups: rows that are delivered to the right cluster, in their time, with their work."""

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
    """Return the names of the functions that a cluster is given now."""
    tasks = queue.WorkerBroker(cluster).dequeue() or []
    return [SignedPackage.loads(payload)["func"] for _, payload in tasks]


@pytest.mark.parametrize("job", queue.ALL_JOBS, ids=lambda job: job.path)
def test_every_name_is_a_function_and_its_cluster_exists(job):
    module, _, name = job.path.rpartition(".")

    assert callable(getattr(import_module(module), name))
    assert job.cluster in queue.CLUSTERS


def test_every_cluster_is_one_that_django_q2_knows(settings):
    known = {settings.Q_CLUSTER["name"], *settings.Q_CLUSTER["ALT_CLUSTERS"]}

    assert set(queue.CLUSTERS) == known


@pytest.mark.parametrize("job", queue.ALL_JOBS, ids=lambda job: job.path)
def test_a_wake_up_goes_to_its_cluster_alone(job):
    queue.enqueue(job)

    for other in set(queue.CLUSTERS) - {job.cluster}:
        assert delivered(other) == []
    assert delivered(job.cluster) == [job.path]


def test_a_wake_up_is_given_to_one_worker():
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
def test_a_wake_up_of_a_transaction_that_fails_leaves_nothing():
    with transaction.atomic():
        queue.enqueue(queue.LAUNCH_DUE)
        transaction.set_rollback(True)

    assert not OrmQ.objects.exists()


def test_the_oldest_due_wake_up_of_a_cluster_is_told():
    now = timezone.now()
    for seconds in (-10, -60, 60):
        queue.enqueue(queue.LAUNCH_DUE, at=now + datetime.timedelta(seconds=seconds))

    assert queue.oldest_waiting(queue.LAUNCH) == now - datetime.timedelta(seconds=60)
    assert queue.oldest_waiting(queue.LOCAL) is None


def test_the_job_in_hand_stands_for_those_that_wait_beside_it():
    now = timezone.now()
    for seconds in (-10, 0, 2, 60):
        queue.enqueue(queue.LAUNCH_DUE, at=now + datetime.timedelta(seconds=seconds))
    queue.enqueue(queue.TICK)

    queue.discard_pending(queue.LAUNCH_DUE)
    waiting = OrmQ.objects.filter(key=queue.LAUNCH)
    assert waiting.count() == 2, "those that are planned are not"

    queue.discard_pending(queue.LAUNCH_DUE, until=now + datetime.timedelta(seconds=30))
    assert waiting.count() == 1
    assert OrmQ.objects.filter(key=queue.FOLLOW).count() == 1, "another job's"


def test_what_another_worker_has_in_hand_is_not_absorbed():
    queue.enqueue(queue.LAUNCH_DUE)
    assert delivered(queue.LAUNCH)

    queue.discard_pending(queue.LAUNCH_DUE)

    assert OrmQ.objects.count() == 1, "its worker may die, and it comes again"
