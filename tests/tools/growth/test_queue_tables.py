"""What django-q2 keeps does not grow: a job that is done leaves nothing, a failed one a row."""

import pytest
from django.utils import timezone
from django_q.models import OrmQ, Task
from django_q.monitor import save_task
from django_q.signing import SignedPackage

from remediation import queue

pytestmark = pytest.mark.django_db


def carried_out(*, is_success):
    """Deliver a wake-up and let django-q2 keep of it what it keeps."""
    queue.enqueue(queue.TICK)
    broker = queue.WorkerBroker(queue.FOLLOW)
    [(pk, payload)] = broker.dequeue()
    now = timezone.now()
    outcome = {"started": now, "stopped": now, "success": is_success, "result": "an error"}
    save_task(SignedPackage.loads(payload) | outcome, broker)
    broker.delete(pk)


def test_jobs_that_are_done_leave_nothing():
    for _ in range(3):
        carried_out(is_success=True)

    assert not OrmQ.objects.exists()
    assert not Task.objects.exists()


@pytest.mark.django_db(transaction=True)  # django-q2 closes connections while it keeps them
def test_the_failures_of_a_job_are_one_row():
    for _ in range(3):
        carried_out(is_success=False)

    assert not OrmQ.objects.exists()
    assert Task.objects.count() == 1


def test_a_storm_of_wake_ups_is_one_job():
    for _ in range(1_000):
        queue.enqueue(queue.LAUNCH_DUE)

    queue.absorb(queue.LAUNCH_DUE)

    assert not OrmQ.objects.exists()
