"""The machine's clock is set back, or was wrong: nothing waits for as long as that."""

import datetime

import pytest
import time_machine
from django.utils import timezone
from django_q.models import OrmQ

from remediation import jobs, queue
from remediation.engine import outage
from remediation.engine.launching import claim, future_due_times, launch, launch_order
from remediation.engine.outcomes import poll, poll_interval
from remediation.management.liveness import ClusterLiveness
from remediation.models import ActionExecution, Cause, Heartbeat, JobSchedule, Problem
from tests.factories import make_action, make_bucket, make_execution, make_run, make_step

pytestmark = pytest.mark.django_db

Status = ActionExecution.Status
BACK = datetime.timedelta(seconds=600)
TICK = datetime.timedelta(seconds=2)


@pytest.fixture
def clock():
    """A clock that is 600 s ahead until it is shifted by -BACK."""
    with time_machine.travel(timezone.now() + BACK, tick=False) as traveller:
        yield traveller


@pytest.fixture
def execution():
    bucket = make_bucket()
    step = {"max_attempts": 2, "retry_delay_seconds": 30}
    make_step(bucket, make_action(st2_runner="local-shell-cmd"), parameters={"cmd": "true"}, **step)
    return make_execution(make_run(bucket))


def due_in(execution):
    execution.refresh_from_db()
    return execution.due_at - timezone.now()


def test_the_tick_goes_on(clock):
    assert JobSchedule.start_if_due("tick", at=timezone.now(), interval=TICK)
    clock.shift(-BACK)

    assert JobSchedule.is_late("tick", at=timezone.now(), interval=TICK, grace=TICK)
    assert JobSchedule.start_if_due("tick", at=timezone.now(), interval=TICK)
    assert not JobSchedule.start_if_due("tick", at=timezone.now(), interval=TICK)
    assert not JobSchedule.is_late("tick", at=timezone.now(), interval=TICK, grace=TICK)


def test_a_chain_of_ticks_that_waits_for_its_time_is_revived(clock):
    jobs.tick()
    clock.shift(-BACK)

    jobs.beat()
    clock.shift(0.1)

    assert [pk for pk, _ in queue.WorkerBroker(queue.FOLLOW).dequeue()]


def test_a_beat_of_a_machine_that_is_a_little_ahead_is_taken_once():
    now = timezone.now()
    JobSchedule.start_if_due("tick", at=now + datetime.timedelta(seconds=1), interval=TICK)

    assert not JobSchedule.start_if_due("tick", at=now, interval=TICK)


def test_a_cluster_still_shows_life(clock, monkeypatch):
    monkeypatch.setenv(queue.WORKER_ID, "host-1")
    own = queue.own_name(queue.LOCAL, "host-1")
    jobs.run_local()
    before = Heartbeat.last(own)
    clock.shift(-BACK)

    jobs.run_local()

    assert Heartbeat.last(own) == before - BACK


def test_a_cluster_that_was_asked_before_is_not_killed(clock, monkeypatch):
    monkeypatch.setenv(queue.WORKER_ID, "host-1")
    monkeypatch.setattr("django_q.conf.Conf.CLUSTER_NAME", queue.LOCAL)
    seconds = [0.0]
    liveness = ClusterLiveness(
        queue.own_name(queue.LOCAL, "host-1"), dead_seconds=90, clock=lambda: seconds[0]
    )
    liveness.check()
    assert OrmQ.objects.count() == 1
    clock.shift(-BACK)

    for _ in range(60):
        seconds[0] += 5
        clock.shift(5)
        for pk, _ in queue.WorkerBroker(queue.LOCAL).dequeue() or []:
            jobs.run_local()
            queue.WorkerBroker(queue.LOCAL).acknowledge(pk)
        assert liveness.check() == ""


def test_who_showed_life_in_the_future_does_not_live(clock, settings):
    settings.ST2_STREAM_URL = "http://127.0.0.1:9/stream"
    for name in (poll_interval.STREAM_HEARTBEAT, "launch@host-1", "launch@host-2"):
        Heartbeat.record(name, at=timezone.now())
    assert (poll_interval.is_streamed(), launch_order._launchers()) == (True, 2)

    clock.shift(-BACK)

    assert (poll_interval.is_streamed(), launch_order._launchers()) == (False, 1)


def test_a_refusal_of_the_future_holds_nothing(clock):
    later = timezone.now() + datetime.timedelta(seconds=10)
    Problem.report("stackstorm", "refused", at=timezone.now(), next_try_at=later)
    assert outage.is_held(at=timezone.now())

    clock.shift(-BACK)

    assert not outage.is_held(at=timezone.now())


def test_what_runs_is_polled_soon(clock, execution, sandbox, st2):
    launch.launch_due(client=st2)
    clock.shift(-BACK)

    future_due_times.bring_back()

    assert due_in(execution) <= datetime.timedelta(seconds=60)
    clock.shift(60)
    poll.poll_due(client=st2)
    execution.refresh_from_db()
    assert execution.status == Status.SUCCESS


@pytest.mark.parametrize(
    ("columns", "longest"),
    [
        ({"status": "launching"}, claim.lease(is_local=False)),
        ({"status": "launching", "lookup_until": timezone.now()}, datetime.timedelta(seconds=30)),
        ({"status": "unknown"}, poll_interval.UNKNOWN_INTERVAL),
        ({"status": "launching", "executed_via_stackstorm": False}, claim.lease(is_local=True)),
        ({"started_at": timezone.now()}, future_due_times.LONGEST_RELEASE),
        ({"attempt": 1}, datetime.timedelta(0)),
        ({"attempt": 2}, datetime.timedelta(seconds=37.5)),
    ],
    ids=["lease", "look-up", "unknown", "local lease", "released", "new", "second attempt"],
)
def test_nothing_is_due_later_than_it_can_be(columns, longest, clock, execution):
    due_at = timezone.now() + longest
    ActionExecution.objects.update(created_at=timezone.now(), due_at=due_at, **columns)
    before = due_in(execution)
    assert future_due_times.bring_back() == 0
    assert due_in(execution) == before
    clock.shift(-BACK)

    assert future_due_times.bring_back() == 1

    assert due_in(execution) == longest
    clock.shift(1)
    assert future_due_times.bring_back() == 0


def test_a_wait_keeps_its_time(clock, execution):
    later = timezone.now() + datetime.timedelta(days=1)
    ActionExecution.objects.update(status="running", executed_via_stackstorm=False, due_at=later)

    assert future_due_times.bring_back() == 0


def test_a_cause_of_the_tick_is_no_row_of_the_future(clock, execution):
    execution.claim(cause=Cause(), lease_until=timezone.now() + claim.lease(is_local=False))

    jobs.tick()

    assert due_in(execution) == claim.lease(is_local=False)
