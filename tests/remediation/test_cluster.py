"""The processes of a cluster: how many there are, what ends them, and what a job's end writes."""

import os
import signal
import time
from multiprocessing import get_context

import pytest
from django_q.conf import Conf
from django_q.models import OrmQ, Task

from remediation import cluster, queue

LIMIT_SECONDS = 30.0


def wait_until(holds):
    end = time.monotonic() + LIMIT_SECONDS
    while not (value := holds()):
        assert time.monotonic() < end
        time.sleep(0.01)
    return value


@pytest.fixture
def run(monkeypatch):
    """Return a cluster whose processes run a function instead of jobs, killed at the end."""
    clusters = []

    def start(name, function):
        monkeypatch.setattr(cluster.JobProcess, "_run_jobs", function)
        clusters.append(cluster.Cluster(name, get_context("fork").Semaphore(0)))
        return clusters[-1]

    yield start
    for one in clusters:
        for process in one.processes:
            process.kill()
            process.join()


def sleep(_process):
    time.sleep(600)


def be_busy(process):
    process.seen_at.value = time.monotonic()
    process.timer.value = 63
    time.sleep(600)


@pytest.mark.parametrize(
    ("calls", "processes", "count"), [(10, 2, 2), (10, 4, 4), (3, 4, 2), (2, 4, 1)]
)
def test_no_process_launches_without_a_call_of_its_own(calls, processes, count, settings):
    settings.ST2_MAX_CONCURRENT_REQUESTS, settings.LAUNCH_PROCESSES = calls, processes

    assert cluster.size_of(queue.LAUNCH) == cluster.Size(count, count)


@pytest.mark.parametrize("count", [1, 2, 4, 9])
def test_the_shares_of_all_processes_are_the_limit(count, monkeypatch):
    monkeypatch.setattr(queue, "_place", queue.Place())
    shares = []
    for number in range(count):
        queue.set_place(number, count, None)
        shares.append(queue.share(9))

    assert sum(shares) == 9
    assert max(shares) - min(shares) <= 1


def test_an_idle_local_cluster_has_one_process(run):
    local = run(queue.LOCAL, sleep)

    for _ in range(3):
        local._guard()

    assert len(local.processes) == 1


def test_busy_local_processes_get_help_up_to_the_limit(run):
    local = run(queue.LOCAL, be_busy)
    local._guard()
    wait_until(lambda: local._guard() or len(local.processes) == cluster.LOCAL_PROCESSES_MAX)
    wait_until(lambda: all(process.is_busy() for process in local.processes))

    local._guard()

    assert [process.number for process in local.processes] == [0, 1, 2, 3]
    assert [process.is_spare for process in local.processes] == [False, True, True, True]


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_a_lost_process_is_replaced_in_its_place(number, run, settings):
    settings.WORKER_DEAD_SECONDS, settings.LAUNCH_PROCESSES = 60.0, 2
    launch = run(queue.LAUNCH, sleep)
    launch._guard()
    lost, other = launch.processes

    os.kill(lost.pid, number)
    if number == signal.SIGSTOP:
        lost.seen_at.value -= 61
    wait_until(lambda: launch._guard() or lost not in launch.processes)

    assert other in launch.processes
    assert sorted(process.number for process in launch.processes) == [0, 1]
    assert not lost.is_alive()


def test_a_process_whose_job_is_not_interrupted_is_killed(run):
    follow = run(queue.FOLLOW, be_busy)
    follow._guard()
    [hung] = follow.processes
    wait_until(hung.is_busy)

    hung.seen_at.value -= Conf.TIMEOUT + cluster.KILL_SECONDS + 1
    follow._guard()

    assert not hung.is_alive()
    assert len(follow.processes) == 1


@pytest.fixture
def jobs(monkeypatch):
    monkeypatch.setattr(cluster, "FALLBACK_SECONDS", 0.01)
    owner = cluster.Cluster(queue.LOCAL, get_context("fork").Semaphore(0))
    return cluster._Jobs(cluster.JobProcess(1, is_spare=True, cluster=owner))


@pytest.mark.django_db(transaction=True)  # django-q2 closes the connection to store a failure
@pytest.mark.parametrize(("success", "failures"), [(True, 0), (False, 1)])
def test_the_end_of_a_job_deletes_its_wake_up(success, failures, jobs):
    queue.enqueue(queue.RUN_LOCAL)
    task = jobs.get()

    jobs.put(task | {"success": success, "result": "", "stopped": task["started"]})
    assert OrmQ.objects.count() == 1, "not before the lock of the timer is released"
    jobs.end_previous()

    assert (OrmQ.objects.count(), Task.objects.count()) == (0, failures)


@pytest.mark.django_db
def test_an_unreadable_wake_up_does_not_stop_the_next_one(jobs):
    queue.enqueue(queue.RUN_LOCAL)
    OrmQ.objects.update(payload="not signed by this installation")
    queue.enqueue(queue.RUN_LOCAL)

    assert jobs.get()["func"] == queue.RUN_LOCAL.path


@pytest.mark.django_db
def test_a_spare_process_ends_without_jobs(jobs, monkeypatch):
    monkeypatch.setattr(cluster, "SPARE_SECONDS", 0.05)

    assert jobs.get() == cluster.STOPPED


@pytest.mark.django_db
def test_a_stopping_process_takes_no_job(jobs):
    queue.enqueue(queue.RUN_LOCAL)
    jobs.cluster.is_stopping.value = True

    assert jobs.get() == cluster.STOPPED
    assert OrmQ.objects.count() == 1


@pytest.mark.django_db
def test_only_clusters_with_due_wake_ups_get_a_signal():
    signals = cluster.WakeUpSignals(queue.CLUSTERS)
    queue.enqueue(queue.RUN_LOCAL)
    queue.request_heartbeat(queue.own_name(queue.LAUNCH, "host-1"))
    queue.request_heartbeat(queue.own_name(queue.FOLLOW, "host-2"))

    for _ in range(3):
        signals.send("host-1")

    counts = {name: semaphore.get_value() for name, semaphore in signals.by_name.items()}
    assert counts == {queue.LAUNCH: 1, queue.FOLLOW: 0, queue.LOCAL: 1}
