"""Polls, hints, deadlines and the tasks of workflows."""

import datetime
import time

import pytest
from django.utils import timezone

from remediation import clock
from remediation.engine.launching import launch
from remediation.engine.outcomes import poll, poll_hints, poll_interval
from remediation.engine.outcomes.deadlines import deadline
from remediation.engine.outcomes.outcome import OUTCOMES, Outcome
from remediation.engine.outcomes.settle import settle
from remediation.models import ActionExecution, BucketRun, Cause, Transition
from remediation.stackstorm import FINAL_STATUSES, ExecutionResult, StackStormUnavailable
from tests.factories import make_action, make_bucket, make_execution, make_run, make_step

pytestmark = pytest.mark.django_db

Status = ActionExecution.Status


@pytest.fixture
def launched(sandbox, st2):
    """Launch a one-step run and return its execution."""

    def start(*, parameters=None, **step):
        bucket = make_bucket()
        action = make_action(st2_runner="local-shell-cmd")
        make_step(bucket, action, parameters=parameters or {"cmd": "true"}, **step)
        execution = make_execution(make_run(bucket))
        launch.launch_due(client=st2)
        execution.refresh_from_db()
        return execution

    return start


def make_due():
    ActionExecution.objects.filter(due_at__isnull=False).update(due_at=timezone.now())


def test_every_final_status_of_stackstorm_maps_to_ours():
    assert set(OUTCOMES) == FINAL_STATUSES


@pytest.mark.parametrize(
    ("st2_status", "status", "run_status"),
    [
        ("succeeded", "success", "success"),
        ("failed", "failure", "failure"),
        ("abandoned", "failure", "failure"),
        ("timeout", "timeout", "timeout"),
        ("canceled", "skipped", "canceled"),
    ],
)
def test_a_final_status_settles_the_execution_and_ends_the_run(
    st2_status, status, run_status, sandbox, st2, launched
):
    sandbox.configure(outcomes={"core.local": st2_status})
    execution = launched()

    make_due()
    poll.poll_due(client=st2)

    execution.refresh_from_db()
    assert (execution.status, execution.st2_action_execution_status) == (status, st2_status)
    assert execution.due_at is None
    assert BucketRun.objects.get().status == run_status
    moves = Transition.objects.filter(subject_type="execution").order_by("pk")
    assert [move.to_status for move in moves] == ["launching", "running", status]
    assert moves.latest("pk").actor == "stackstorm"


@pytest.mark.parametrize(
    "st2_status",
    ["requested", "scheduled", "delayed", "running", "pausing", "paused", "resuming", "pending"],
)
@pytest.mark.usefixtures("frozen_clock")
def test_any_other_status_is_stored_and_settles_nothing(st2_status, sandbox, st2, launched):
    sandbox.configure(outcomes={"core.local": st2_status})
    execution = launched()

    make_due()
    poll.poll_due(client=st2)

    execution.refresh_from_db()
    assert (execution.status, execution.st2_action_execution_status) == ("running", st2_status)
    assert execution.due_at > timezone.now()


def test_a_failure_has_its_reason_from_the_result(sandbox, st2, launched):
    sandbox.configure(outcomes={"core.local": "failed"})
    execution = launched()

    make_due()
    poll.poll_due(client=st2)

    execution.refresh_from_db()
    assert execution.error_message == "return code 1: sandbox: asked to fail"
    assert execution.st2_result["failed"] is True


def test_a_poll_makes_one_request_for_statuses_and_one_for_results(sandbox, st2, launched):
    for _ in range(7):
        launched()
    before = len(sandbox.requests)

    make_due()
    poll.poll_due(client=st2)

    assert len(sandbox.requests) - before == 1 + 1
    assert ActionExecution.objects.filter(status="success").count() == 7


def test_a_settled_execution_never_changes(sandbox, st2, launched):
    execution = launched()
    make_due()
    poll.poll_due(client=st2)
    execution.refresh_from_db()

    assert settle(execution, Outcome.failure("late"), cause=Cause()) is False

    execution.refresh_from_db()
    assert execution.status == "success"
    assert BucketRun.objects.get().status == "success"


def test_two_pollers_settle_an_execution_once(sandbox, st2, launched):
    execution = launched()
    first, second = (ActionExecution.objects.get(pk=execution.pk) for _ in range(2))
    outcome = Outcome.of(st2.execution(execution.st2_execution_id))

    assert settle(first, outcome, cause=Cause()) is True
    assert settle(second, outcome, cause=Cause()) is False

    assert Transition.objects.filter(subject_type="run", to_status="success").count() == 1


def test_an_execution_missing_in_stackstorm_becomes_unknown(sandbox, st2, launched):
    execution = launched()
    ActionExecution.objects.update(st2_execution_id="0" * 24)

    make_due()
    poll.poll_due(client=st2)

    execution.refresh_from_db()
    assert execution.status == "unknown"
    assert "does not know the execution" in execution.error_message
    assert BucketRun.objects.get().status == "unknown"


@pytest.mark.usefixtures("frozen_clock")
def test_an_outage_of_stackstorm_settles_nothing(sandbox, st2, launched):
    execution = launched()
    sandbox.configure(unavailable=True)

    make_due()
    poll.poll_due(client=st2)

    execution.refresh_from_db()
    assert execution.status == "running"
    assert execution.due_at > timezone.now()


def test_a_late_answer_resumes_an_unknown_run(sandbox, st2, launched):
    execution = launched()
    settle(execution, Outcome.unknown("no response"), cause=Cause())
    assert BucketRun.objects.get().status == "unknown"

    assert poll_hints.hint(st2_execution_id=execution.st2_execution_id, trace_tag="") == "accepted"
    poll.poll_due(client=st2)

    execution.refresh_from_db()
    assert execution.status == "success"
    run = BucketRun.objects.get()
    assert run.status == "success"
    moves = Transition.objects.filter(subject_type="run").order_by("pk")
    assert [move.to_status for move in moves] == ["running", "unknown", "running", "success"]


@pytest.mark.parametrize("key", ["st2_execution_id", "trace_tag"])
def test_a_hint_makes_the_poll_due_now(key, launched):
    execution = launched()
    later = timezone.now() + datetime.timedelta(hours=1)
    ActionExecution.objects.update(due_at=later)
    names = {"st2_execution_id": "", "trace_tag": ""} | {key: getattr(execution, key)}

    assert poll_hints.hint(**names) == "accepted"

    execution.refresh_from_db()
    assert execution.due_at <= timezone.now()
    assert execution.status == "running"


def test_a_hint_for_a_final_execution_changes_nothing(sandbox, st2, launched):
    execution = launched()
    make_due()
    poll.poll_due(client=st2)

    assert poll_hints.hint(st2_execution_id=execution.st2_execution_id, trace_tag="") == "unchanged"


@pytest.mark.parametrize("st2_execution_id", ["", "f" * 24, "not an id"])
def test_a_hint_for_an_execution_of_another_system_is_ignored(st2_execution_id):
    assert poll_hints.hint(st2_execution_id=st2_execution_id, trace_tag="no-such") == "ignored"


def test_at_its_deadline_an_execution_is_canceled_and_times_out(sandbox, st2, launched):
    sandbox.configure(outcomes={"core.local": "running"})
    execution = launched(timeout_seconds=30)
    long_ago = timezone.now() - datetime.timedelta(seconds=31)
    ActionExecution.objects.update(running_at=long_ago)

    until = time.monotonic() + 10
    while execution.status == "running" and time.monotonic() < until:
        make_due()
        poll.poll_due(client=st2)
        execution.refresh_from_db()

    assert (execution.status, execution.st2_action_execution_status) == ("timeout", "canceled")
    assert "the command may still run" in execution.error_message
    assert BucketRun.objects.get().status == "timeout"


def test_a_workflow_is_one_execution_with_a_row_per_task(sandbox, st2):
    bucket = make_bucket(
        use_stackstorm=True,
        st2_workflow_name="host_down",
        st2_workflow_pack="remediation",
    )
    run = make_run(bucket)
    execution = make_execution(run)

    launch.launch_due(client=st2)
    make_due()
    poll.poll_due(client=st2)

    execution.refresh_from_db()
    assert execution.status == "success", execution.error_message
    tasks = list(execution.tasks.order_by("step_order"))
    assert len(tasks) == 2
    assert {task.status for task in tasks} == {"success"}
    assert all(task.st2_execution_id and task.trace_tag is None for task in tasks)
    assert sandbox.posts_by_trace_tag() == {execution.trace_tag: 1}
    run.refresh_from_db()
    assert run.status == "success"


def test_poll_due_polls_each_execution_once(sandbox, st2, launched, settings):
    settings.POLL_INTERVAL = 0.0
    sandbox.configure(outcomes={"core.local": "running"})
    launched()
    launched()
    make_due()

    assert poll.poll_due(client=st2) == 2


@pytest.mark.usefixtures("frozen_clock")
def test_a_slow_stackstorm_ends_the_poll_early(sandbox, st2, launched, monkeypatch):
    for _ in range(3):
        launched()
    monkeypatch.setattr(poll, "BUDGET_SECONDS", -1.0)
    monkeypatch.setattr(poll, "RESULTS_PER_REQUEST", 1)
    make_due()

    poll.poll_due(client=st2)

    # The first request for results is made even when the time budget is spent.
    assert ActionExecution.objects.filter(status="running").count() == 2
    assert not ActionExecution.objects.filter(due_at__lte=timezone.now()).exists()


def paths(sandbox, first):
    return [path.partition("?")[0] for _, path in sandbox.requests[first:]]


def test_results_are_read_one_by_one_if_the_batch_fails(sandbox, st2, launched, monkeypatch):
    executions = [launched() for _ in range(3)]
    before = len(sandbox.requests)

    def refuse(_ids):
        raise StackStormUnavailable("GET", "/executions", "too large", may_have_been_sent=True)

    monkeypatch.setattr(st2, "results", refuse)
    make_due()
    poll.poll_due(client=st2)

    assert ActionExecution.objects.filter(status="success").count() == 3
    alone = [f"/v1/executions/{row.st2_execution_id}" for row in executions]
    assert sorted(paths(sandbox, before)) == ["/v1/executions", *sorted(alone)]


def test_a_final_status_without_a_result_is_read_again_alone(sandbox, st2, launched, monkeypatch):
    execution = launched()
    incomplete = ExecutionResult(execution.st2_execution_id, "succeeded", None, None, result=None)
    monkeypatch.setattr(st2, "results", lambda _ids: [incomplete])

    make_due()
    poll.poll_due(client=st2)

    execution.refresh_from_db()
    assert execution.status == "success"
    assert execution.st2_result["succeeded"] is True


def test_many_results_need_one_request_and_one_transaction_per_batch(
    sandbox, st2, launched, settings
):
    settings.ST2_MAX_CONCURRENT_REQUESTS = 4
    count = poll.RESULTS_PER_REQUEST + 2
    for _ in range(count):
        launched()
    before = len(sandbox.requests)

    make_due()
    poll.poll_due(client=st2)

    assert len(sandbox.requests) - before == 1 + 2
    ended = Transition.objects.filter(subject_type="execution", to_status="success")
    assert ended.count() == count
    assert ended.values("at").distinct().count() == 2


@pytest.mark.usefixtures("frozen_clock")
def test_older_executions_are_polled_later(sandbox, st2, launched, settings):
    settings.POLL_INTERVAL = 2.0
    sandbox.configure(outcomes={"core.local": "running"})
    young, old = launched(timeout_seconds=86_400), launched(timeout_seconds=86_400)
    at = timezone.now()
    ActionExecution.objects.filter(pk=old.pk).update(started_at=at - datetime.timedelta(hours=1))
    make_due()

    poll.poll_due(client=st2)

    young.refresh_from_db()
    old.refresh_from_db()
    assert young.due_at < at + datetime.timedelta(seconds=2)
    assert old.due_at > at + datetime.timedelta(seconds=15)


def test_the_next_poll_is_not_after_the_deadline(sandbox, st2, launched, settings):
    settings.POLL_INTERVAL = 80.0
    sandbox.configure(outcomes={"core.local": "running"})
    execution = launched(timeout_seconds=11)
    ActionExecution.objects.update(
        started_at=timezone.now() - datetime.timedelta(hours=1), running_at=timezone.now()
    )
    make_due()

    poll.poll_due(client=st2)

    execution.refresh_from_db()
    assert execution.due_at < timezone.now() + datetime.timedelta(seconds=21)


@pytest.mark.parametrize(
    ("early", "status"),
    [(datetime.timedelta(microseconds=1), "running"), (datetime.timedelta(0), "unknown")],
)
def test_an_execution_becomes_unknown_at_the_end_of_the_cancel_grace(
    early, status, launched, monkeypatch
):
    execution = launched(timeout_seconds=30)
    overdue = deadline(execution).at + poll.CANCEL_GRACE
    monkeypatch.setattr(clock, "now", lambda: overdue - early)

    poll._give_up_if_overdue(execution, "no response")

    execution.refresh_from_db()
    assert execution.status == status
    if status == "unknown":
        assert execution.due_at == overdue + poll_interval.UNKNOWN_INTERVAL
