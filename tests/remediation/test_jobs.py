"""What wake-ups do when they come late, twice, at once or to a newer release."""

import datetime
from importlib import import_module

import pytest
from django.db import connection
from django.utils import timezone
from django_q.models import OrmQ
from django_q.signing import SignedPackage

from remediation import jobs, queue
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
    """Return the times from which the wake-ups of a job are delivered."""
    rows = OrmQ.objects.filter(key=job.cluster)
    return [row.lock for row in rows if SignedPackage.loads(row.payload)["func"] == job.path]


def let_the_beat_be_due():
    JobSchedule.objects.update(due_at=timezone.now())


@pytest.mark.parametrize("job", queue.ALL_JOBS, ids=lambda job: job.path)
@pytest.mark.usefixtures("sandbox")
def test_a_job_takes_arguments_of_a_newer_release(job):
    module, _, name = job.path.rpartition(".")

    getattr(import_module(module), name)(of_a_newer_release=1)


def test_launches_that_are_delivered_twice_start_once(sandbox):
    execution = remote_execution()

    for _delivery in range(2):
        jobs.launch_due()

    assert sandbox.posts_by_trace_tag() == {execution.trace_tag: 1}


def test_an_execution_goes_from_start_to_end_by_ticks_and_whom_they_wake(sandbox):
    execution = remote_execution()

    for _ in range(2):
        jobs.tick()
        if waiting(queue.LAUNCH_DUE):
            jobs.launch_due()
        ActionExecution.objects.filter(due_at__isnull=False).update(due_at=timezone.now())
        let_the_beat_be_due()

    execution.refresh_from_db()
    assert execution.status == "success"
    assert sandbox.posts_by_trace_tag() == {execution.trace_tag: 1}


def test_a_tick_wakes_the_next_after_the_interval(settings):
    settings.ST2_API_URL, settings.POLL_INTERVAL = "", 7.0

    jobs.tick()

    beat = JobSchedule.objects.get(name="tick")
    assert waiting(queue.TICK) == [beat.due_at]
    assert beat.due_at - beat.started_at == datetime.timedelta(seconds=7)


@pytest.mark.usefixtures("sandbox")
def test_a_tick_that_is_delivered_again_does_not_fork_the_chain():
    for _delivery in range(3):
        jobs.tick()
        assert len(waiting(queue.TICK)) == 1


def test_a_tick_between_two_beats_leaves_what_time_makes_due_to_the_next(sandbox):
    jobs.tick()
    remote_execution()

    jobs.tick()
    assert not waiting(queue.LAUNCH_DUE)

    let_the_beat_be_due()
    jobs.tick()
    assert len(waiting(queue.LAUNCH_DUE)) == 1


def test_the_next_tick_comes_sooner_for_what_has_just_begun(sandbox, settings):
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


def test_what_the_stream_tells_of_needs_no_tick_before_the_next_beat(sandbox, settings):
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


def test_many_wake_ups_are_one_launch(sandbox):
    remote_execution()
    for _notification in range(5):
        queue.enqueue(queue.LAUNCH_DUE)

    jobs.launch_due()

    assert not waiting(queue.LAUNCH_DUE)


def test_a_beat_is_taken_once():
    interval = datetime.timedelta(seconds=2)
    at = timezone.now()

    taken = [JobSchedule.start_if_due("tick", at=at, interval=interval) for _ in range(3)]

    assert taken == [True, False, False]
    assert not JobSchedule.start_if_due("tick", at=at + interval / 2, interval=interval)
    assert JobSchedule.start_if_due("tick", at=at + interval, interval=interval)
    assert JobSchedule.start_if_due("another", at=at, interval=interval)


@pytest.mark.django_db(transaction=True)
def test_the_next_tick_is_enqueued_with_the_beat_or_not_at_all(monkeypatch):
    class Died(Exception):
        pass

    def die(*_arguments, **_options):
        raise Died

    monkeypatch.setattr(queue, "enqueue", die)
    with pytest.raises(Died):
        jobs.tick()

    assert not JobSchedule.objects.filter(name="tick").exists()


@pytest.mark.django_db(transaction=True)
def test_the_chain_goes_on_when_a_tick_fails(sandbox, monkeypatch):
    class Broke(Exception):
        pass

    def fail():
        assert not connection.in_atomic_block
        raise Broke

    monkeypatch.setattr(jobs.recover, "recover", fail)
    with pytest.raises(Broke):
        jobs.tick()

    assert len(waiting(queue.TICK)) == 1


def test_without_a_stackstorm_the_chain_goes_on_and_local_actions_run(settings):
    settings.ST2_API_URL = ""
    execution_of(make_local_action("log_event"), message="it is down")

    jobs.tick()

    assert len(waiting(queue.TICK)) == len(waiting(queue.RUN_LOCAL)) == 1


def test_a_tick_wakes_nobody_when_nothing_local_is_due(settings):
    settings.ST2_API_URL = ""

    jobs.tick()

    assert not waiting(queue.RUN_LOCAL)


def test_local_actions_are_carried_out_one_a_wake_up_each_by_whoever_is_free():
    action = make_local_action("log_event")
    executions = [execution_of(action, message="it is down") for _ in range(2)]

    jobs.run_local()
    assert len(waiting(queue.RUN_LOCAL)) == 1
    jobs.run_local()

    assert len(waiting(queue.RUN_LOCAL)) == 1, "none for nothing"
    assert {ActionExecution.objects.get(pk=row.pk).status for row in executions} == {"success"}


def test_without_a_stackstorm_people_read_why_its_steps_wait(settings):
    settings.ST2_API_URL = ""
    make_execution()

    jobs.launch_due()

    assert "ST2_API_URL is not set" in Problem.objects.get(name="stackstorm").text


def test_without_a_stackstorm_and_without_its_steps_nothing_is_wrong(settings):
    settings.ST2_API_URL = ""

    jobs.tick()

    assert not Problem.objects.filter(name="stackstorm").exists()


def test_what_is_wrong_is_told_since_it_began():
    begun = timezone.now() - datetime.timedelta(minutes=5)
    Problem.report("stackstorm", "refused", at=begun)

    Problem.report("stackstorm", "timed out", at=timezone.now())
    problem = Problem.objects.get()
    assert (problem.text, problem.since) == ("timed out", begun)

    Problem.clear("stackstorm")
    again = timezone.now()
    Problem.report("stackstorm", "refused", at=again)
    assert Problem.objects.get().since == again


def test_a_wrong_clock_is_a_problem_until_it_is_right(monkeypatch):
    monkeypatch.setattr("remediation.clock.skew_seconds", lambda: 600.0)
    jobs._report_skew()

    problem = Problem.objects.get()
    assert problem.name.startswith("clock@")
    assert "600.0 s ahead of the database's" in problem.text

    monkeypatch.setattr("remediation.clock.skew_seconds", lambda: 0.1)
    jobs._report_skew()
    assert not Problem.objects.exists()
