"""Stop and cancel a run: by an operator, by a resolve, at the bucket's time limit."""

import datetime
import json
import time
from typing import Any

import pytest
from django.utils import timezone

from remediation import clock
from remediation.alertmanager import parse
from remediation.engine import cancel
from remediation.engine.intake import receive
from remediation.engine.launching import launch
from remediation.engine.outcomes import poll
from remediation.engine.outcomes.outcome import Outcome
from remediation.engine.outcomes.settle import settle
from remediation.models import (
    ActionExecution,
    BucketRun,
    Cause,
    IllegalTransitionError,
    Transition,
)
from tests.factories import (
    alert_payload,
    make_action,
    make_bucket,
    make_execution,
    make_local_action,
    make_run,
    make_step,
    notification_body,
)

pytestmark = pytest.mark.django_db

Status = ActionExecution.Status
Stop = BucketRun.Stop
OPERATOR: dict[str, Any] = {
    "reason": "wrong host",
    "cause": Cause(at=timezone.now(), actor="ann", request_id="call-9"),
}


def make_steps(bucket, count=2, **step):
    action = make_action(st2_runner="local-shell-cmd")
    for number in range(count):
        make_step(bucket, action, name=f"step {number + 1}", parameters={"cmd": "true"}, **step)
    return bucket


@pytest.fixture
def launched(sandbox, st2):
    """Return a run whose first step runs in StackStorm and does not end by itself."""
    sandbox.configure(outcomes={"core.local": "running"})

    def start(steps=2, max_attempts=1, **bucket):
        run = make_run(make_steps(make_bucket(**bucket), steps, max_attempts=max_attempts))
        make_execution(run)
        launch.launch_due(client=st2)
        run.refresh_from_db()
        return run

    return start


def poll_until_ended(run, st2):
    until = time.monotonic() + 10
    while run.status == "running" and time.monotonic() < until:
        ActionExecution.objects.filter(status=Status.RUNNING).update(due_at=timezone.now())
        poll.poll_due(client=st2)
        run.refresh_from_db()


def statuses(run):
    rows = run.executions.order_by("step_order", "attempt")
    return list(rows.values_list("status", flat=True))


def test_a_run_that_has_not_started_is_canceled_at_once(sandbox, st2):
    run = make_run(make_steps(make_bucket()))
    make_execution(run)

    cancel.cancel(run, stop=Stop.CANCEL, **OPERATOR)
    launch.launch_due(client=st2)

    assert (run.status, run.reason) == ("canceled", "wrong host")
    assert statuses(run) == ["skipped"]
    assert not sandbox.posts_by_trace_tag()


def test_stop_lets_the_running_step_end_and_starts_no_other(sandbox, st2, launched):
    run = launched()

    cancel.cancel(run, stop=Stop.STOP, **OPERATOR)

    assert run.status == "running"
    execution = run.executions.get()
    settle(execution, Outcome(Status.SUCCESS), cause=Cause())
    run.refresh_from_db()
    assert (run.status, statuses(run)) == ("canceled", ["success"])


def test_cancel_cancels_in_stackstorm_too(sandbox, st2, launched):
    run = launched()

    cancel.cancel(run, stop=Stop.CANCEL, **OPERATOR)
    poll_until_ended(run, st2)

    assert (run.status, statuses(run)) == ("canceled", ["skipped"])
    execution = run.executions.get()
    assert execution.st2_action_execution_status == "canceled"
    assert "may still have run to its end" in execution.error_message


def test_a_run_stopped_during_its_last_step_ends_with_the_result_of_its_steps(
    sandbox, st2, launched
):
    run = launched(steps=1)
    cancel.cancel(run, stop=Stop.STOP, **OPERATOR)

    settle(run.executions.get(), Outcome(Status.SUCCESS), cause=Cause())

    run.refresh_from_db()
    assert run.status == "success"


def test_a_stop_that_prevented_a_retry_ends_the_run_as_canceled(launched):
    run = launched(steps=1, max_attempts=2)
    cancel.cancel(run, stop=Stop.STOP, **OPERATOR)

    settle(run.executions.get(), Outcome.failure("broken"), cause=Cause())

    run.refresh_from_db()
    assert (run.status, run.reason, statuses(run)) == ("canceled", "wrong host", ["failure"])


@pytest.mark.parametrize("status", ["success", "failure"])
def test_a_canceled_run_ends_as_canceled_whatever_the_result_of_its_last_step(launched, status):
    run = launched(steps=1)
    cancel.cancel(run, stop=Stop.CANCEL, **OPERATOR)

    settle(run.executions.get(), Outcome(Status(status)), cause=Cause())

    run.refresh_from_db()
    assert (run.status, run.reason, statuses(run)) == ("canceled", "wrong host", [status])


def test_a_canceled_last_step_ends_the_run_as_canceled(st2, launched):
    run = launched(steps=1)

    cancel.cancel(run, stop=Stop.CANCEL, **OPERATOR)
    poll_until_ended(run, st2)

    assert (run.status, run.reason, statuses(run)) == ("canceled", "wrong host", ["skipped"])


def test_a_last_step_canceled_in_stackstorm_after_a_stop_ends_the_run_as_canceled(st2, launched):
    run = launched(steps=1)
    cancel.cancel(run, stop=Stop.STOP, **OPERATOR)
    st2.cancel(run.executions.get().st2_execution_id)

    poll_until_ended(run, st2)

    assert (run.status, run.reason) == ("canceled", "wrong host")


def test_a_canceled_workflow_ends_its_run_as_canceled(sandbox, st2):
    sandbox.configure(outcomes={"remediation.host_down": "requested"})
    bucket = make_bucket(
        use_stackstorm=True, st2_workflow_name="host_down", st2_workflow_pack="remediation"
    )
    run = make_run(bucket)
    make_execution(run)
    launch.launch_due(client=st2)
    run.refresh_from_db()

    cancel.cancel(run, stop=Stop.CANCEL, **OPERATOR)
    poll_until_ended(run, st2)

    assert (run.status, run.reason) == ("canceled", "wrong host")


def test_the_request_to_stop_has_a_transition_with_its_actor(launched):
    run = launched()

    cancel.cancel(run, stop=Stop.CANCEL, **OPERATOR)

    transition = Transition.objects.get(cause_request_id="call-9", subject_type="run")
    assert (transition.from_status, transition.to_status) == ("running", "running")
    assert (transition.actor, transition.reason, transition.data) == (
        "ann",
        "wrong host",
        {"stop": "cancel"},
    )


def test_a_failed_step_is_not_retried_after_a_stop(sandbox, st2, launched):
    run = launched()
    cancel.cancel(run, stop=Stop.STOP, **OPERATOR)

    settle(run.executions.get(), Outcome.failure("broken"), cause=Cause())

    run.refresh_from_db()
    assert (run.status, statuses(run)) == ("canceled", ["failure"])


def test_stop_can_become_cancel_but_cancel_cannot_become_stop(launched):
    run = launched()
    cancel.cancel(run, stop=Stop.STOP, **OPERATOR)
    cancel.cancel(run, stop=Stop.CANCEL, **OPERATOR)

    cancel.cancel(run, stop=Stop.STOP, **OPERATOR)

    assert run.stop == Stop.CANCEL


@pytest.mark.parametrize("status", ["success", "canceled", "unknown"])
def test_a_run_that_has_ended_cannot_be_stopped(status):
    run = make_run(status=status)

    with pytest.raises(IllegalTransitionError):
        cancel.cancel(run, stop=Stop.CANCEL, **OPERATOR)


def test_stop_ends_a_local_wait_at_once(st2):
    bucket = make_bucket()
    make_step(bucket, make_local_action("wait"), parameters={"seconds": 600})
    make_step(bucket, make_local_action("log_event"), parameters={"message": "on"})
    run = make_run(bucket)
    make_execution(run)
    launch.run_local()

    cancel.cancel(run, stop=Stop.STOP, **OPERATOR)

    assert (run.status, statuses(run)) == ("canceled", ["skipped"])


def test_the_tick_applies_a_stop_after_a_crash(sandbox, st2, launched):
    run = launched()
    BucketRun.objects.update(stop=Stop.CANCEL, reason="wrong host")

    assert cancel.apply_stops() == 1
    poll_until_ended(run, st2)

    assert run.status == "canceled"


def test_stopped_runs_do_not_block_the_launch_of_others(sandbox, st2, settings):
    settings.ST2_MAX_CONCURRENT_REQUESTS = 1
    for _ in range(3):
        make_execution(make_run(make_steps(make_bucket()), stop="stop"))
    other = make_execution(make_run(make_steps(make_bucket())))

    launch.launch_due(client=st2)

    assert sandbox.posts_by_trace_tag() == {other.trace_tag: 1}


@pytest.mark.parametrize(
    ("on_resolved", "status"),
    [("continue", "running"), ("stop", "running"), ("cancel", "canceled")],
)
def test_a_resolve_treats_a_started_run_as_on_resolved_says(on_resolved, status, sandbox, st2):
    sandbox.configure(outcomes={"core.local": "running"})
    make_steps(make_bucket(on_resolved=on_resolved))
    deliver(alert_payload())
    launch.launch_due(client=st2)

    deliver(alert_payload(status="resolved", endsAt="2026-11-23T06:00:00Z"))

    run = BucketRun.objects.get()
    assert run.stop == ("" if on_resolved == "continue" else on_resolved)
    cancel.apply_stops()
    if on_resolved == "cancel":
        poll_until_ended(run, st2)
    run.refresh_from_db()
    assert run.status == status


@pytest.mark.parametrize("trigger", ["manual", "retry", "resolved"])
def test_a_resolve_does_not_stop_manual_retry_and_resolved_runs(trigger, sandbox, st2):
    bucket = make_steps(make_bucket(on_resolved="cancel"))
    deliver(alert_payload())
    BucketRun.objects.filter(bucket=bucket).update(status="success")
    run = make_run(bucket, BucketRun.objects.get().alert, number=2, trigger=trigger)
    run.mark_running(cause=Cause())

    deliver(alert_payload(status="resolved", endsAt="2026-11-23T06:00:00Z"))

    run.refresh_from_db()
    assert (run.status, run.stop) == ("running", "")


def deliver(*alerts):
    body = json.dumps(notification_body(*alerts)).encode()
    return receive.receive(parse(body), cause=Cause(actor="alertmanager"), client="am")


def test_a_run_that_exceeds_its_buckets_time_limit_ends_as_timeout(sandbox, st2, launched):
    run = launched(timeout_seconds=60)
    assert cancel.cancel_overdue() == 0
    BucketRun.objects.update(started_at=timezone.now() - datetime.timedelta(seconds=61))

    assert cancel.cancel_overdue() == 1
    poll_until_ended(run, st2)

    assert run.status == "timeout"
    assert run.reason == "not ended within 60 s (timeout_seconds of the bucket)"


def test_a_cancel_before_the_time_limit_stays_the_reason(launched):
    run = launched(steps=1, timeout_seconds=60)
    cancel.cancel(run, stop=Stop.CANCEL, **OPERATOR)
    BucketRun.objects.update(started_at=timezone.now() - datetime.timedelta(seconds=61))

    assert cancel.cancel_overdue() == 0
    settle(run.executions.get(), Outcome(Status.SUCCESS), cause=Cause())

    run.refresh_from_db()
    assert (run.status, run.reason) == ("canceled", "wrong host")


def test_a_run_canceled_at_its_time_limit_is_a_timeout_even_if_its_last_step_succeeds(launched):
    run = launched(steps=1, timeout_seconds=60)
    BucketRun.objects.update(started_at=timezone.now() - datetime.timedelta(seconds=61))
    cancel.cancel_overdue()

    settle(run.executions.get(), Outcome(Status.SUCCESS), cause=Cause())

    run.refresh_from_db()
    assert (run.status, statuses(run)) == ("timeout", ["success"])
    assert run.reason == "not ended within 60 s (timeout_seconds of the bucket)"


@pytest.mark.parametrize(
    ("early", "count"), [(datetime.timedelta(microseconds=1), 0), (datetime.timedelta(0), 1)]
)
def test_a_run_is_overdue_at_the_exact_time_limit(early, count, launched, monkeypatch):
    run = launched(timeout_seconds=60)
    now = run.started_at + datetime.timedelta(seconds=60) - early
    monkeypatch.setattr(clock, "now", lambda: now)

    assert cancel.cancel_overdue() == count
