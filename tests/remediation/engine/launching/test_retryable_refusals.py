"""Refused launches are retried or looked up, do not affect others and do not become unknown."""

import datetime

import pytest
import time_machine
from django.utils import timezone

from remediation import jobs
from remediation.engine import outage
from remediation.engine.launching import launch, lookup
from remediation.engine.outcomes import poll
from remediation.models import ActionExecution, BucketRun, Problem, Transition
from remediation.stackstorm import StackStormClient, StackStormError, StackStormRejected
from tests.remediation.engine.launching.due_executions import due_executions

pytestmark = [pytest.mark.django_db, pytest.mark.slow]

Status = ActionExecution.Status
GATEWAY_STATUSES = (502, 503, 504)


@pytest.fixture
def st2_settings(sandbox, settings):
    """Make the jobs call the sandbox."""
    settings.ST2_API_URL, settings.ST2_API_KEY = sandbox.url, "sandbox-key"
    settings.ST2_MAX_CONCURRENT_REQUESTS = 4
    settings.LAUNCH_LOOKUP_SECONDS = 20.0


def run_jobs(seconds, clock):
    """Run the jobs of the workers every two seconds for some time."""
    for _ in range(seconds // 2):
        clock.shift(datetime.timedelta(seconds=2))
        jobs.tick()
        jobs.launch_due()


def statuses():
    return sorted(ActionExecution.objects.values_list("status", flat=True))


def note():
    problem = outage.current()
    return problem.text if problem else ""


REFUSALS = [
    {"refusal_status": 429},
    {"refusal_status": 429, "retry_after": "7"},
    {"refusal_status": 502},
    {"refusal_status": 503},
    {"refusal_status": 504},
    {"refusal_status": 504, "refusal_after": True},
    {"refusal_status": 500},
    {"limit_per_second": 2.0},
    {"limit_per_second": 2.0, "refusal_status": 0, "retry_after": "1"},
    {"broker_down": True},
    {"unavailable": True},
    {"unauthorized": True},
]


@pytest.mark.usefixtures("st2_settings")
@pytest.mark.parametrize("refusal", REFUSALS, ids=str)
def test_twenty_runs_succeed_after_thirty_seconds_of_refusals(refusal, sandbox):
    executions = due_executions(20)
    with time_machine.travel(timezone.now()) as clock:
        sandbox.configure(**refusal)
        run_jobs(30, clock)
        assert "unknown" not in statuses()
        sandbox.configure(
            refusal_status=0,
            limit_per_second=0.0,
            broker_down=False,
            unavailable=False,
            unauthorized=False,
        )
        run_jobs(60, clock)

    assert statuses() == ["success"] * 20
    assert set(BucketRun.objects.values_list("status", flat=True)) == {"success"}
    assert not sandbox.started_twice()
    assert set(sandbox.posts_by_trace_tag()) == {row.trace_tag for row in executions}
    assert note() == ""


@pytest.mark.parametrize("status", [429, *GATEWAY_STATUSES])
def test_a_refusal_ends_the_batch_and_sets_the_problem(status, sandbox, st2, settings):
    settings.ST2_MAX_CONCURRENT_REQUESTS = 2
    due_executions(6)
    sandbox.configure(refusal_status=status)

    launch.launch_due(client=st2)

    assert [method for method, _ in sandbox.requests] == ["POST"]
    assert f"returned {status}" in note()
    assert statuses().count("pending") == (6 if status == 429 else 5)


def test_launches_waiting_for_a_thread_are_not_sent_after_a_refusal(sandbox, st2, settings):
    settings.ST2_MAX_CONCURRENT_REQUESTS = 5
    due_executions(20)
    # With this seed the first call succeeds and the next eleven are refused.
    sandbox.configure(refusal_status=429, refusal_rate=0.9, seed=93, latency_seconds=0.05)

    launch.launch_due(client=st2)

    # The one that succeeded, and one in each of the four threads.
    assert len(sandbox.requests) <= 5
    assert statuses().count("pending") == 19
    assert ActionExecution.objects.filter(error_message__startswith="not sent").exists()


def test_a_batch_begins_with_one_read_during_a_problem(sandbox, st2):
    due_executions(3)
    sandbox.configure(refusal_status=503)
    launch.launch_due(client=st2)
    sandbox.reset()

    launch.launch_due(client=st2)

    assert sandbox.requests == (("GET", "/v1/"),)
    assert statuses() == ["launching", "pending", "pending"]
    sandbox.configure(refusal_status=0)
    launch.launch_due(client=st2)
    assert statuses() == ["launching", "running", "running"]
    assert note() == ""


@pytest.mark.usefixtures("frozen_clock")
def test_a_429_makes_the_execution_due_after_retry_after(sandbox, st2):
    [execution] = due_executions(1)
    sandbox.configure(refusal_status=429, retry_after="40")
    before = timezone.now()

    launch.launch_due(client=st2)

    execution.refresh_from_db()
    assert (execution.status, execution.unanswered_launches) == (Status.PENDING, 0)
    assert execution.due_at is not None
    assert 39 <= (execution.due_at - before).total_seconds() <= 45
    at = f"{execution.due_at:%Y-%m-%d %H:%M:%S} UTC"
    assert execution.error_message.endswith(f"PoundCake retries from {at} on.")
    assert outage.blocks_calls(at=before + datetime.timedelta(seconds=38))
    assert not outage.blocks_calls(at=execution.due_at)


@pytest.mark.usefixtures("st2_settings")
def test_stackstorm_is_not_called_before_retry_after_is_over(sandbox):
    due_executions(3)
    with time_machine.travel(timezone.now()) as clock:
        sandbox.configure(refusal_status=429, retry_after="20")
        run_jobs(2, clock)
        sandbox.reset()

        run_jobs(12, clock)

        assert sandbox.requests == ()
        run_jobs(10, clock)
        assert len(sandbox.requests) >= 1


@pytest.mark.parametrize("status", GATEWAY_STATUSES)
def test_a_launch_refused_by_a_proxy_is_looked_up_and_does_not_count(
    status, sandbox, st2, settings
):
    settings.LAUNCH_LOOKUP_SECONDS = 0.0
    [execution] = due_executions(1)

    for launches in (1, 2, 3, 4):
        outage.end_by_launch(at=timezone.now())
        sandbox.configure(refusal_status=status)
        launch.launch_due(client=st2)
        execution.refresh_from_db()
        assert execution.status == Status.LAUNCHING
        assert (execution.unanswered_launches, execution.refused_launches) == (launches, launches)
        sandbox.configure(refusal_status=0)
        ActionExecution.objects.update(due_at=timezone.now())
        lookup.look_up_due(client=st2)
        execution.refresh_from_db()
        assert execution.status == Status.PENDING

    assert not sandbox.executions


@pytest.mark.parametrize("status", GATEWAY_STATUSES)
def test_a_launch_that_arrived_before_a_proxy_refused_is_adopted(status, sandbox, st2):
    [execution] = due_executions(1)
    sandbox.configure(refusal_status=status, refusal_after=True)
    launch.launch_due(client=st2)
    sandbox.configure(refusal_status=0)

    ActionExecution.objects.update(due_at=timezone.now())
    lookup.look_up_due(client=st2)

    execution.refresh_from_db()
    assert (execution.status, len(sandbox.executions)) == (Status.RUNNING, 1)


def test_the_reason_of_a_refused_launch_says_when_it_is_resent(sandbox, st2, settings):
    settings.LAUNCH_LOOKUP_SECONDS = 300.0
    [execution] = due_executions(1)
    sandbox.configure(refusal_status=502)

    launch.launch_due(client=st2)

    execution.refresh_from_db()
    at = f"{execution.lookup_until:%Y-%m-%d %H:%M:%S} UTC"
    assert "502 Bad Gateway" in execution.error_message
    assert execution.error_message.endswith(f"If none is found by {at}, it is resent.")


def test_a_launch_refused_by_a_proxy_for_launch_timeout_is_unknown(sandbox, st2, settings):
    settings.LAUNCH_LOOKUP_SECONDS, settings.LAUNCH_TIMEOUT = 0.0, 60.0
    [execution] = due_executions(1)
    sandbox.configure(refusal_status=502)
    launch.launch_due(client=st2)
    sandbox.configure(refusal_status=0)
    before = timezone.now() - datetime.timedelta(seconds=61)
    ActionExecution.objects.update(due_at=timezone.now(), created_at=before)

    lookup.look_up_due(client=st2)

    execution.refresh_from_db()
    assert execution.status == Status.UNKNOWN


def test_a_batch_of_look_ups_ends_with_the_first_refusal(sandbox, st2, settings):
    settings.LAUNCH_LOOKUP_SECONDS = 0.0
    due_executions(3)
    sandbox.configure(drop_request_rate=1.0)
    launch.launch_due(client=st2)
    ActionExecution.objects.update(due_at=timezone.now())
    sandbox.reset()
    sandbox.configure(drop_request_rate=0.0, refusal_status=503)

    lookup.look_up_due(client=st2)

    assert len(sandbox.requests) == 1
    assert statuses() == ["launching"] * 3
    assert "returned 503" in note()


def test_a_successful_read_does_not_clear_refused_launches(sandbox, st2):
    running, *_ = due_executions(2)
    sandbox.configure(outcomes={"core.local": "running"})
    launch.launch_due(client=st2)
    due_executions(1)
    sandbox.configure(broker_down=True)
    launch.launch_due(client=st2)
    ActionExecution.objects.filter(pk=running.pk).update(due_at=timezone.now())

    poll.poll_due(client=st2)

    assert "ECONNREFUSED" in note()
    later = timezone.now() + datetime.timedelta(minutes=2)
    outage.end_by_read(at=later)
    assert note() == ""


def test_a_successful_probe_does_not_clear_rejected_reads(sandbox, st2, monkeypatch):
    [execution] = due_executions(1)
    sandbox.configure(outcomes={"core.local": "running"})
    launch.launch_due(client=st2)
    ActionExecution.objects.filter(pk=execution.pk).update(due_at=timezone.now())

    def reject(_ids):
        raise StackStormRejected("GET", "/executions", 403, "lacks execution_list")

    monkeypatch.setattr(st2, "executions", reject)
    poll.poll_due(client=st2)

    assert outage.probe(client=st2)
    assert "lacks execution_list" in note()
    monkeypatch.undo()
    ActionExecution.objects.filter(pk=execution.pk).update(due_at=timezone.now())
    poll.poll_due(client=st2)
    assert note() == ""


@pytest.mark.usefixtures("frozen_clock")
def test_a_refused_poll_sets_the_problem_and_the_row_stays_running(sandbox, st2):
    [execution] = due_executions(1)
    sandbox.configure(outcomes={"core.local": "running"})
    launch.launch_due(client=st2)
    sandbox.configure(refusal_status=429, retry_after="9")
    ActionExecution.objects.update(due_at=timezone.now())

    poll.poll_due(client=st2)

    execution.refresh_from_db()
    assert execution.status == Status.RUNNING
    assert "returned 429" in note()
    assert outage.blocks_calls(at=timezone.now() + datetime.timedelta(seconds=8))


def test_the_delay_between_retries_grows_with_the_outage():
    error = outage_error()
    started = timezone.now()
    waits = []
    for seconds in (0, 10, 40, 400):
        at = started + datetime.timedelta(seconds=seconds)
        waits.append((outage.report(error, at=at) - at).total_seconds())

    assert waits == [1.0, 2.5, 10.0, 15.0]
    assert Problem.objects.get(name="stackstorm").since == started


def outage_error():
    unreachable = StackStormClient(api_url="http://127.0.0.1:9", api_key="k", timeout=1)
    try:
        unreachable.version()
    except StackStormError as error:
        return error
    raise AssertionError("a server listens there")


def test_refusals_are_recorded_as_transitions(sandbox, st2):
    [execution] = due_executions(1)
    sandbox.configure(refusal_status=429)

    launch.launch_due(client=st2)

    moves = Transition.objects.filter(subject_type="execution", subject_id=execution.pk)
    assert [move.to_status for move in moves.order_by("pk")] == ["launching", "pending"]
    assert "429 Too Many Requests" in moves.latest("pk").reason
