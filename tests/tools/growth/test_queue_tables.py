"""The tables of django-q2 do not grow: a finished job leaves no row, a failed one a single row."""

import pytest
from django.utils import timezone
from django_q.models import OrmQ, Task
from django_q.monitor import save_task
from django_q.signing import SignedPackage

from remediation import queue

pytestmark = pytest.mark.django_db


def run_job(*, is_success):
    """Deliver a queued job and store its result as django-q2 does."""
    queue.enqueue(queue.TICK)
    broker = queue.WorkerBroker(queue.FOLLOW)
    [(pk, payload)] = broker.dequeue() or []
    now = timezone.now()
    outcome = {"started": now, "stopped": now, "success": is_success, "result": "an error"}
    save_task(SignedPackage.loads(payload) | outcome, broker)
    broker.delete(pk)


def test_finished_jobs_leave_no_row():
    for _ in range(3):
        run_job(is_success=True)

    assert not OrmQ.objects.exists()
    assert not Task.objects.exists()


@pytest.mark.django_db(transaction=True)  # django-q2 closes the connection when it stores a failure
def test_repeated_failures_of_a_job_are_one_row():
    for _ in range(3):
        run_job(is_success=False)

    assert not OrmQ.objects.exists()
    assert Task.objects.count() == 1


def test_many_wake_ups_run_as_one_job():
    for _ in range(1_000):
        queue.enqueue(queue.LAUNCH_DUE)

    queue.discard_pending(queue.LAUNCH_DUE)

    assert not OrmQ.objects.exists()
