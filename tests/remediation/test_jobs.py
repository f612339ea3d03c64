"""Jobs whose wake-ups are delivered late, twice, concurrently or by a newer release."""

import datetime
from importlib import import_module

import pytest
from django.db import connection
from django.utils import timezone
from django_q.models import OrmQ
from django_q.signing import SignedPackage

from remediation import jobs, queue
from remediation.engine.launching import launch, recover
from remediation.engine.outcomes import poll_interval
from remediation.models import ActionExecution, Heartbeat, JobSchedule, Problem
from st2_sandbox import Sandbox, SandboxOptions
from tests.factories import (
    make_action,
    make_bucket,
    make_execution,
    make_local_action,
    make_run,
    make_step,
)

pytestmark = pytest.mark.django_db


@pytest.fixture
def sandbox(settings):
    """The StackStorm that the settings name."""
    with Sandbox(api_key="k", options=SandboxOptions(duration_seconds=0)) as running:
        settings.ST2_API_URL, settings.ST2_API_KEY = running.url, "k"
        yield running


def execution_of(action, **parameters):
    bucket = make_bucket()
    make_step(bucket, action, parameters=parameters)
    return make_execution(make_run(bucket))


def remote_execution():
    return execution_of(make_action(st2_runner="local-shell-cmd"), cmd="true")


def waiting(job):
    """Return the due times of a job's wake-ups."""
    rows = OrmQ.objects.filter(key=job.cluster)
    return [row.lock for row in rows if SignedPackage.loads(row.payload)["func"] == job.path]


def make_periodic_work_due():
    JobSchedule.objects.update(due_at=timezone.now())


@pytest.mark.parametrize("job", queue.ALL_JOBS, ids=lambda job: job.path)
@pytest.mark.usefixtures("sandbox")
def test_a_job_takes_arguments_of_a_newer_release(job):
    module, _, name = job.path.rpartition(".")

    getattr(import_module(module), name)(of_a_newer_release=1)


def test_a_launch_job_delivered_twice_launches_once(sandbox):
    execution = remote_execution()

    for _delivery in range(2):
        jobs.launch_due()

    assert sandbox.posts_by_trace_tag() == {execution.trace_tag: 1}


def test_ticks_and_the_jobs_they_enqueue_finish_an_execution(sandbox):
    execution = remote_execution()

    for _ in range(2):
        jobs.tick()
        if waiting(queue.LAUNCH_DUE):
            jobs.launch_due()
        ActionExecution.objects.filter(due_at__isnull=False).update(due_at=timezone.now())
        make_periodic_work_due()

    execution.refresh_from_db()
    assert execution.status == "success"
    assert sandbox.posts_by_trace_tag() == {execution.trace_tag: 1}


def test_a_tick_enqueues_the_next_after_the_interval(settings):
    settings.ST2_API_URL, settings.POLL_INTERVAL = "", 7.0

    jobs.tick()

    beat = JobSchedule.objects.get(name="tick")
    assert waiting(queue.TICK) == [beat.due_at]
    assert beat.due_at - beat.started_at == datetime.timedelta(seconds=7)


@pytest.mark.usefixtures("sandbox")
def test_a_tick_delivered_twice_does_not_fork_the_chain():
    for _delivery in range(3):
        jobs.tick()
        assert len(waiting(queue.TICK)) == 1


def test_an_extra_tick_runs_no_periodic_work(sandbox):
    jobs.tick()
    remote_execution()

    jobs.tick()
    assert not waiting(queue.LAUNCH_DUE)

    make_periodic_work_due()
    jobs.tick()
    assert len(waiting(queue.LAUNCH_DUE)) == 1


def test_the_next_tick_is_earlier_for_a_new_execution(sandbox, settings):
    settings.POLL_INTERVAL = 80.0
    sandbox.configure(outcomes={"core.local": "running"})
    remote_execution()
    jobs.launch_due()
    [first] = waiting(queue.TICK)
    assert first < timezone.now() + datetime.timedelta(seconds=10)

    before = timezone.now()
    jobs.tick()

    sooner, beat = sorted(waiting(queue.TICK))
    assert sooner <= timezone.now() + datetime.timedelta(seconds=10)
    assert beat > before + datetime.timedelta(seconds=70)


def test_no_earlier_tick_is_needed_while_the_stream_is_read(sandbox, settings):
    settings.ST2_STREAM_URL = sandbox.url
    settings.POLL_INTERVAL = 80.0
    sandbox.configure(outcomes={"core.local": "running"})
    remote_execution()
    jobs.launch_due()
    Heartbeat.record(poll_interval.STREAM_HEARTBEAT, at=timezone.now())

    before = timezone.now()
    jobs.tick()

    [beat] = waiting(queue.TICK)
    assert beat > before + datetime.timedelta(seconds=70)


def test_many_wake_ups_are_done_by_one_launch_job(sandbox):
    remote_execution()
    for _notification in range(5):
        queue.enqueue(queue.LAUNCH_DUE)

    jobs.launch_due()

    assert not waiting(queue.LAUNCH_DUE)


def test_a_due_job_starts_once():
    interval = datetime.timedelta(seconds=2)
    at = timezone.now()

    taken = [JobSchedule.start_if_due("tick", at=at, interval=interval) for _ in range(3)]

    assert taken == [True, False, False]
    assert not JobSchedule.start_if_due("tick", at=at + interval / 2, interval=interval)
    assert JobSchedule.start_if_due("tick", at=at + interval, interval=interval)
    assert JobSchedule.start_if_due("another", at=at, interval=interval)


@pytest.mark.django_db(transaction=True)
def test_the_next_tick_and_the_schedule_are_one_transaction(monkeypatch):
    class Died(Exception):
        pass

    def die(*_arguments, **_options):
        raise Died

    monkeypatch.setattr(queue, "enqueue", die)
    with pytest.raises(Died):
        jobs.tick()

    assert not JobSchedule.objects.filter(name="tick").exists()


@pytest.mark.django_db(transaction=True)
def test_the_chain_continues_when_a_tick_fails(sandbox, monkeypatch):
    class Broke(Exception):
        pass

    def fail():
        assert not connection.in_atomic_block
        raise Broke

    monkeypatch.setattr(recover, "recover", fail)
    with pytest.raises(Broke):
        jobs.tick()

    assert len(waiting(queue.TICK)) == 1


def test_without_stackstorm_ticks_continue_and_local_actions_run(settings):
    settings.ST2_API_URL = ""
    execution_of(make_local_action("log_event"), message="it is down")

    jobs.tick()

    assert len(waiting(queue.TICK)) == len(waiting(queue.RUN_LOCAL)) == 1


def test_a_tick_enqueues_no_local_job_if_none_is_due(settings):
    settings.ST2_API_URL = ""

    jobs.tick()

    assert not waiting(queue.RUN_LOCAL)


def test_each_job_runs_one_local_action_and_enqueues_the_next():
    action = make_local_action("log_event")
    executions = [execution_of(action, message="it is down") for _ in range(2)]

    jobs.run_local()
    assert len(waiting(queue.RUN_LOCAL)) == 1
    jobs.run_local()

    assert len(waiting(queue.RUN_LOCAL)) == 1, "no job without a due action"
    assert {ActionExecution.objects.get(pk=row.pk).status for row in executions} == {"success"}


def test_without_stackstorm_waiting_steps_report_a_problem(settings):
    settings.ST2_API_URL = ""
    make_execution()

    jobs.launch_due()

    assert "ST2_API_URL is not set" in Problem.objects.get(name="stackstorm").text


def test_without_stackstorm_and_its_steps_there_is_no_problem(settings):
    settings.ST2_API_URL = ""

    jobs.tick()

    assert not Problem.objects.filter(name="stackstorm").exists()


def test_a_problem_keeps_its_start_until_it_is_cleared():
    begun = timezone.now() - datetime.timedelta(minutes=5)
    Problem.report("stackstorm", "refused", at=begun)

    Problem.report("stackstorm", "timed out", at=timezone.now())
    problem = Problem.objects.get()
    assert (problem.text, problem.since) == ("timed out", begun)

    Problem.clear("stackstorm")
    again = timezone.now()
    Problem.report("stackstorm", "refused", at=again)
    assert Problem.objects.get().since == again


def test_a_wrong_clock_is_a_problem_until_it_is_corrected(monkeypatch):
    monkeypatch.setattr("remediation.clock.skew_seconds", lambda: 600.0)
    jobs._report_skew()

    problem = Problem.objects.get()
    assert problem.name.startswith("clock@")
    assert "600.0 s ahead of the database's" in problem.text

    monkeypatch.setattr("remediation.clock.skew_seconds", lambda: 0.1)
    jobs._report_skew()
    assert not Problem.objects.exists()


def test_a_stopping_cluster_leaves_the_rest_of_the_tick(monkeypatch):
    called = []

    def stop():
        called.append("first")
        monkeypatch.setattr(queue, "is_stopping", lambda: True)

    jobs._run_all([stop, lambda: called.append("second")])

    assert called == ["first"]


def test_a_stopping_cluster_starts_no_local_action(monkeypatch):
    monkeypatch.setattr(queue, "is_stopping", lambda: True)
    monkeypatch.setattr(launch, "run_local", lambda: pytest.fail("It was started."))

    jobs.run_local()
