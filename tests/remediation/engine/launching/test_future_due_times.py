"""After a clock is set back, nothing waits for times that it stamped earlier."""

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

pytestmark = [pytest.mark.django_db, pytest.mark.slow]

Status = ActionExecution.Status
STEP = datetime.timedelta(seconds=600)
TICK = datetime.timedelta(seconds=2)


@pytest.fixture
def clock():
    """A clock that is 600 s ahead until a test shifts it by -STEP."""
    with time_machine.travel(timezone.now() + STEP, tick=False) as traveller:
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


def test_the_tick_continues(clock):
    assert JobSchedule.start_if_due("tick", at=timezone.now(), interval=TICK)
    clock.shift(-STEP)

    assert JobSchedule.is_late("tick", at=timezone.now(), interval=TICK, grace=TICK)
    assert JobSchedule.start_if_due("tick", at=timezone.now(), interval=TICK)
    assert not JobSchedule.start_if_due("tick", at=timezone.now(), interval=TICK)
    assert not JobSchedule.is_late("tick", at=timezone.now(), interval=TICK, grace=TICK)


def test_a_tick_queued_for_the_future_is_replaced(clock):
    jobs.tick()
    clock.shift(-STEP)

    jobs.beat()
    clock.shift(0.1)

    assert queue.WorkerBroker(queue.FOLLOW).dequeue()


def test_a_heartbeat_one_second_ahead_counts_once():
    now = timezone.now()
    JobSchedule.start_if_due("tick", at=now + datetime.timedelta(seconds=1), interval=TICK)

    assert not JobSchedule.start_if_due("tick", at=now, interval=TICK)


def test_a_cluster_still_writes_its_heartbeat(clock, monkeypatch):
    monkeypatch.setenv(queue.WORKER_ID, "host-1")
    own = queue.own_name(queue.LOCAL, "host-1")
    jobs.run_local()
    before = Heartbeat.last(own)
    clock.shift(-STEP)

    jobs.run_local()

    assert before is not None
    assert Heartbeat.last(own) == before - STEP


def test_a_live_cluster_is_not_killed_after_the_step(clock, monkeypatch):
    monkeypatch.setenv(queue.WORKER_ID, "host-1")
    monkeypatch.setattr("django_q.conf.Conf.CLUSTER_NAME", queue.LOCAL)
    seconds = [0.0]
    liveness = ClusterLiveness(
        queue.own_name(queue.LOCAL, "host-1"), dead_seconds=90, clock=lambda: seconds[0]
    )
    liveness.check()
    assert OrmQ.objects.count() == 1
    clock.shift(-STEP)

    for _ in range(60):
        seconds[0] += 5
        clock.shift(5)
        for pk, _ in queue.WorkerBroker(queue.LOCAL).dequeue() or []:
            jobs.run_local()
            queue.WorkerBroker(queue.LOCAL).acknowledge(pk)
        assert liveness.check() == ""


def test_a_heartbeat_of_the_future_does_not_count_as_alive(clock, settings):
    settings.ST2_STREAM_URL = "http://127.0.0.1:9/stream"
    for name in (poll_interval.STREAM_HEARTBEAT, "launch@host-1", "launch@host-2"):
        Heartbeat.record(name, at=timezone.now())
    assert (poll_interval.is_streamed(), launch_order._launchers()) == (True, 2)

    clock.shift(-STEP)

    assert (poll_interval.is_streamed(), launch_order._launchers()) == (False, 1)


def test_a_retry_after_of_the_future_holds_nothing(clock):
    later = timezone.now() + datetime.timedelta(seconds=10)
    Problem.report("stackstorm", "refused", at=timezone.now(), next_try_at=later)
    assert outage.blocks_calls(at=timezone.now())

    clock.shift(-STEP)

    assert not outage.blocks_calls(at=timezone.now())


def test_a_running_execution_is_polled_soon(clock, execution, sandbox, st2):
    launch.launch_due(client=st2)
    clock.shift(-STEP)

    future_due_times.correct()

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
def test_a_due_time_is_limited_to_the_longest_delay(columns, longest, clock, execution):
    due_at = timezone.now() + longest
    ActionExecution.objects.update(created_at=timezone.now(), due_at=due_at, **columns)
    before = due_in(execution)
    assert future_due_times.correct() == 0
    assert due_in(execution) == before
    clock.shift(-STEP)

    assert future_due_times.correct() == 1

    assert due_in(execution) == longest
    clock.shift(1)
    assert future_due_times.correct() == 0


def test_a_wait_keeps_its_due_time(clock, execution):
    later = timezone.now() + datetime.timedelta(days=1)
    ActionExecution.objects.update(status="running", executed_via_stackstorm=False, due_at=later)

    assert future_due_times.correct() == 0


def test_a_lease_taken_now_is_not_corrected(clock, execution):
    execution.claim(cause=Cause(), lease_until=timezone.now() + claim.lease(is_local=False))

    jobs.tick()

    assert due_in(execution) == claim.lease(is_local=False)
