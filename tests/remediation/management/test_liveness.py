"""A hanging cluster is detected; a busy one, or one without a database, is left alone."""

import datetime

import pytest
from django.utils import timezone
from django_q.models import OrmQ, Task

from remediation import jobs, queue
from remediation.management.liveness import START_SECONDS, ClusterLiveness
from remediation.models import Heartbeat, JobSchedule

pytestmark = [pytest.mark.django_db, pytest.mark.slow]

OWN = "local@host-1"
DEAD_SECONDS = 90.0
CHECK_SECONDS = 5.0


class Clock:
    def __init__(self):
        self.now = 1_000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def liveness(clock):
    return ClusterLiveness(OWN, dead_seconds=DEAD_SECONDS, clock=clock)


@pytest.fixture
def cluster(monkeypatch):
    """Return the broker of a process of the watched cluster."""
    monkeypatch.setenv(queue.WORKER_ID, "host-1")
    return queue.WorkerBroker(queue.LOCAL)


def start_a_job():
    """Start a job more than a second after the previous one."""
    Heartbeat.objects.update(beat_at=timezone.now() - datetime.timedelta(seconds=2))
    jobs.run_local()


def run_jobs(broker):
    """Run and acknowledge the jobs that the cluster receives; return their number."""
    tasks = broker.dequeue() or []
    for pk, _ in tasks:
        start_a_job()
        broker.acknowledge(pk)
    return len(tasks)


def check_for(liveness, clock, seconds, each=lambda: None):
    """Check every few seconds for a period; return the first problem."""
    end = clock.now + seconds
    while clock.now < end:
        clock.now = min(clock.now + CHECK_SECONDS, end)
        each()
        if problem := liveness.check():
            return problem
    return ""


def test_a_cluster_that_runs_jobs_is_alive(liveness, clock, cluster, monkeypatch):
    jobs_run = []

    assert check_for(liveness, clock, 600, each=lambda: jobs_run.append(run_jobs(cluster))) == ""
    assert 30 < sum(jobs_run) < 50, "requests are spread over time"


def test_a_cluster_that_never_starts_a_job_is_dead_after_the_grace_period(liveness, clock):
    assert check_for(liveness, clock, START_SECONDS + DEAD_SECONDS - 1) == ""
    assert check_for(liveness, clock, 10).startswith(
        "has started no job for 90 s (WORKER_DEAD_SECONDS)"
    )


def test_a_cluster_that_stops_starting_jobs_is_dead(liveness, clock, cluster):
    check_for(liveness, clock, 100, each=lambda: run_jobs(cluster))

    assert check_for(liveness, clock, DEAD_SECONDS - 20) == ""
    assert check_for(liveness, clock, 40).startswith("has started no job")


@pytest.mark.usefixtures("cluster")
def test_a_busy_cluster_is_alive_though_its_heartbeat_job_waits(liveness, clock):
    assert check_for(liveness, clock, 3 * DEAD_SECONDS + START_SECONDS - 1, each=start_a_job) == ""


@pytest.mark.usefixtures("cluster")
def test_a_cluster_that_finishes_no_job_is_dead(liveness, clock):
    problem = check_for(liveness, clock, 3 * DEAD_SECONDS + START_SECONDS + 10, each=start_a_job)

    assert problem == "has finished no job for 270 s"


def test_a_restarted_cluster_has_a_grace_period(liveness, clock):
    check_for(liveness, clock, START_SECONDS + DEAD_SECONDS + 5)

    liveness.start()

    assert not OrmQ.objects.exists(), "no request of the old cluster remains"
    assert check_for(liveness, clock, START_SECONDS + DEAD_SECONDS - 1) == ""


def test_without_the_database_no_cluster_is_dead(liveness, clock):
    check_for(liveness, clock, START_SECONDS + DEAD_SECONDS - 1)

    liveness.reset()

    assert check_for(liveness, clock, DEAD_SECONDS - 1) == ""
    assert check_for(liveness, clock, 5)


def test_a_heartbeat_from_before_a_restart_does_not_count(liveness, clock):
    Heartbeat.record(OWN, at=timezone.now())
    restarted = ClusterLiveness(OWN, dead_seconds=DEAD_SECONDS, clock=clock)

    assert check_for(restarted, clock, START_SECONDS + DEAD_SECONDS + 5)


def test_a_stopped_cluster_leaves_no_rows(liveness, clock, cluster):
    check_for(liveness, clock, 5)
    run_jobs(cluster)
    check_for(liveness, clock, 20)

    liveness.stop()

    assert not OrmQ.objects.exists()
    assert not Heartbeat.objects.exists()


def test_only_the_named_cluster_receives_its_heartbeat_job(cluster, monkeypatch):
    queue.request_heartbeat(OWN)
    monkeypatch.setenv(queue.WORKER_ID, "host-2")
    other = queue.WorkerBroker(queue.LOCAL)

    assert not other.dequeue()
    assert cluster.dequeue()


def test_the_heartbeat_job_precedes_all_waiting_jobs(cluster):
    for _ in range(3):
        queue.enqueue(queue.RUN_LOCAL)
    queue.request_heartbeat(OWN)
    [request] = OrmQ.objects.filter(key=OWN)

    assert [pk for pk, _ in cluster.dequeue()] == [request.pk]
    assert cluster.dequeue()


def test_the_heartbeat_job_restarts_a_broken_chain_of_ticks():
    interval = datetime.timedelta(seconds=2)
    JobSchedule.start_if_due("tick", at=timezone.now(), interval=interval)
    jobs.beat()
    assert not OrmQ.objects.exists(), "the next tick is not overdue"

    JobSchedule.objects.update(due_at=timezone.now() - datetime.timedelta(seconds=6))
    jobs.beat()

    assert OrmQ.objects.filter(key=queue.FOLLOW).count() == 1


@pytest.mark.usefixtures("cluster")
def test_the_heartbeat_is_written_once_a_second():
    before = timezone.now() - datetime.timedelta(seconds=0.5)
    Heartbeat.objects.create(name=OWN, beat_at=before)

    jobs.run_local()

    assert Heartbeat.last(OWN) == before


def test_no_heartbeat_is_written_outside_of_a_cluster():
    jobs.run_local()

    assert not Heartbeat.objects.exists()


@pytest.mark.parametrize(("age_days", "is_kept"), [(2, False), (0.5, True)])
def test_old_heartbeats_and_requests_are_deleted(age_days, is_kept):
    at = timezone.now() - datetime.timedelta(days=age_days)
    for name in (OWN, "stream"):
        Heartbeat.objects.create(name=name, beat_at=at)
    for key in (OWN, queue.LOCAL):
        OrmQ.objects.create(key=key, payload="", lock=at)

    jobs.prune()

    assert set(Heartbeat.objects.values_list("name", flat=True)) == (
        {"stream", OWN} if is_kept else {"stream"}
    )
    keys = set(OrmQ.objects.values_list("key", flat=True))
    assert keys == ({queue.LOCAL, OWN} if is_kept else {queue.LOCAL})


@pytest.mark.parametrize(("age_days", "is_kept"), [(2, False), (0.5, True)])
def test_failed_jobs_are_deleted_after_a_day(age_days, is_kept):
    at = timezone.now() - datetime.timedelta(days=age_days)
    Task.objects.create(id="1", name="n", func="f", started=at, stopped=at, success=False)

    jobs.prune()

    assert Task.objects.exists() == is_kept
