"""Stop and cancel: by a person, by a resolve, by the time limit of the bucket."""

import datetime
import json
import time

import pytest
from django.utils import timezone

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
PERSON = {
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
    """Return a run whose first of two steps runs in StackStorm and does not end by itself."""
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


def states(run):
    rows = run.executions.order_by("step_order", "attempt")
    return list(rows.values_list("status", flat=True))


def test_a_run_that_has_not_begun_is_canceled_at_once(sandbox, st2):
    run = make_run(make_steps(make_bucket()))
    make_execution(run)

    cancel.cancel(run, stop=Stop.CANCEL, **PERSON)
    launch.launch_due(client=st2)

    assert (run.status, run.reason) == ("canceled", "wrong host")
    assert states(run) == ["skipped"]
    assert not sandbox.posts_by_trace_tag()


def test_stop_lets_the_step_in_flight_end_and_starts_nothing_more(sandbox, st2, launched):
    run = launched()

    cancel.cancel(run, stop=Stop.STOP, **PERSON)

    assert run.status == "running"
    execution = run.executions.get()
    settle(execution, Outcome(Status.SUCCESS), cause=Cause())
    run.refresh_from_db()
    assert (run.status, states(run)) == ("canceled", ["success"])


def test_cancel_cancels_in_stackstorm_too(sandbox, st2, launched):
    run = launched()

    cancel.cancel(run, stop=Stop.CANCEL, **PERSON)
    poll_until_ended(run, st2)

    assert (run.status, states(run)) == ("canceled", ["skipped"])
    execution = run.executions.get()
    assert execution.st2_action_execution_status == "canceled"
    assert "may still have run to its end" in execution.error_message


def test_a_stopped_run_without_steps_left_ends_by_its_steps(sandbox, st2, launched):
    run = launched(steps=1)
    cancel.cancel(run, stop=Stop.STOP, **PERSON)

    settle(run.executions.get(), Outcome(Status.SUCCESS), cause=Cause())

    run.refresh_from_db()
    assert run.status == "success"


def test_a_stop_that_withheld_an_attempt_ends_canceled(launched):
    run = launched(steps=1, max_attempts=2)
    cancel.cancel(run, stop=Stop.STOP, **PERSON)

    settle(run.executions.get(), Outcome.failure("broken"), cause=Cause())

    run.refresh_from_db()
    assert (run.status, run.reason, states(run)) == ("canceled", "wrong host", ["failure"])


@pytest.mark.parametrize("status", ["success", "failure"])
def test_a_canceled_run_is_canceled_however_its_last_step_ended(launched, status):
    run = launched(steps=1)
    cancel.cancel(run, stop=Stop.CANCEL, **PERSON)

    settle(run.executions.get(), Outcome(Status(status)), cause=Cause())

    run.refresh_from_db()
    assert (run.status, run.reason, states(run)) == ("canceled", "wrong host", [status])


def test_a_canceled_last_step_ends_the_run_as_canceled(st2, launched):
    run = launched(steps=1)

    cancel.cancel(run, stop=Stop.CANCEL, **PERSON)
    poll_until_ended(run, st2)

    assert (run.status, run.reason, states(run)) == ("canceled", "wrong host", ["skipped"])


def test_after_stop_a_last_step_canceled_in_stackstorm_ends_the_run_as_canceled(st2, launched):
    run = launched(steps=1)
    cancel.cancel(run, stop=Stop.STOP, **PERSON)
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

    cancel.cancel(run, stop=Stop.CANCEL, **PERSON)
    poll_until_ended(run, st2)

    assert (run.status, run.reason) == ("canceled", "wrong host")


def test_the_wish_is_on_record_with_its_actor_before_anything_is_asked(launched):
    run = launched()

    cancel.cancel(run, stop=Stop.CANCEL, **PERSON)

    wish = Transition.objects.get(cause_request_id="call-9", subject_type="run")
    assert (wish.from_status, wish.to_status, wish.actor) == ("running", "running", "ann")
    assert (wish.reason, wish.data) == ("wrong host", {"stop": "cancel"})


def test_after_stop_a_failed_step_is_not_tried_again(sandbox, st2, launched):
    run = launched()
    cancel.cancel(run, stop=Stop.STOP, **PERSON)

    settle(run.executions.get(), Outcome.failure("broken"), cause=Cause())

    run.refresh_from_db()
    assert (run.status, states(run)) == ("canceled", ["failure"])


def test_stop_can_become_cancel_but_not_the_other_way_round(launched):
    run = launched()
    cancel.cancel(run, stop=Stop.STOP, **PERSON)
    cancel.cancel(run, stop=Stop.CANCEL, **PERSON)

    cancel.cancel(run, stop=Stop.STOP, **PERSON)

    assert run.stop == Stop.CANCEL


@pytest.mark.parametrize("status", ["success", "canceled", "unknown"])
def test_a_run_that_has_ended_cannot_be_stopped(status):
    run = make_run(status=status)

    with pytest.raises(IllegalTransitionError):
        cancel.cancel(run, stop=Stop.CANCEL, **PERSON)


def test_a_wait_ends_at_once(st2):
    bucket = make_bucket()
    make_step(bucket, make_local_action("wait"), parameters={"seconds": 600})
    make_step(bucket, make_local_action("log_event"), parameters={"message": "on"})
    run = make_run(bucket)
    make_execution(run)
    launch.run_local()

    cancel.cancel(run, stop=Stop.STOP, **PERSON)

    assert (run.status, states(run)) == ("canceled", ["skipped"])


def test_a_crash_after_the_wish_is_made_good(sandbox, st2, launched):
    run = launched()
    BucketRun.objects.update(stop=Stop.CANCEL, reason="wrong host")

    assert cancel.apply_stops() == 1
    poll_until_ended(run, st2)

    assert run.status == "canceled"


def test_stopped_runs_do_not_stand_before_the_others(sandbox, st2, settings):
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
def test_a_resolve_does_to_a_begun_run_what_its_bucket_says(on_resolved, status, sandbox, st2):
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
def test_runs_of_people_and_of_resolves_are_exempt_from_the_resolve(trigger, sandbox, st2):
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


def test_a_run_that_outlives_its_buckets_time_limit_ends_as_timeout(sandbox, st2, launched):
    run = launched(timeout_seconds=60)
    assert cancel.cancel_overdue() == 0
    BucketRun.objects.update(started_at=timezone.now() - datetime.timedelta(seconds=61))

    assert cancel.cancel_overdue() == 1
    poll_until_ended(run, st2)

    assert run.status == "timeout"
    assert run.reason == "not ended within 60 s (timeout_seconds of the bucket)"


def test_a_person_who_canceled_before_the_time_limit_is_the_reason(launched):
    run = launched(steps=1, timeout_seconds=60)
    cancel.cancel(run, stop=Stop.CANCEL, **PERSON)
    BucketRun.objects.update(started_at=timezone.now() - datetime.timedelta(seconds=61))

    assert cancel.cancel_overdue() == 0
    settle(run.executions.get(), Outcome(Status.SUCCESS), cause=Cause())

    run.refresh_from_db()
    assert (run.status, run.reason) == ("canceled", "wrong host")


def test_at_the_time_limit_a_last_step_that_succeeds_leaves_the_run_a_timeout(launched):
    run = launched(steps=1, timeout_seconds=60)
    BucketRun.objects.update(started_at=timezone.now() - datetime.timedelta(seconds=61))
    cancel.cancel_overdue()

    settle(run.executions.get(), Outcome(Status.SUCCESS), cause=Cause())

    run.refresh_from_db()
    assert (run.status, states(run)) == ("timeout", ["success"])
    assert run.reason == "not ended within 60 s (timeout_seconds of the bucket)"
