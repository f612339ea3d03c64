"""A notification creates alerts, runs, executions and one wake-up."""

import datetime
import json

import pytest
from django.db import IntegrityError, OperationalError, connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from django_q.models import OrmQ

from remediation.alertmanager import parse
from remediation.engine.intake import deliveries, receive
from remediation.engine.intake.new_runs import save_runs
from remediation.engine.operations import pause
from remediation.models import ActionExecution, Alert, BucketRun, BucketVersion, Cause, Transition
from tests.factories import (
    LABELS,
    alert_payload,
    make_bucket,
    make_local_action,
    make_run,
    make_step,
    notification_body,
)

pytestmark = pytest.mark.django_db


def deliver(*alerts, request_id="call-1"):
    body = json.dumps(notification_body(*alerts)).encode()
    cause = Cause(actor="alertmanager", request_id=request_id)
    return receive.receive(parse(body), cause=cause, client="10.0.0.9")


def wake_ups():
    return list(OrmQ.objects.values_list("key", flat=True))


def test_a_matching_alert_starts_the_first_step_of_its_bucket():
    bucket = make_bucket(name="host_down")
    make_step(bucket)
    make_step(bucket)

    [receipt] = deliver(alert_payload())

    run = BucketRun.objects.get()
    assert (receipt.disposition, receipt.buckets, receipt.runs, receipt.reason) == (
        "created",
        ["host_down"],
        [run.pk],
        "",
    )
    [execution] = ActionExecution.objects.all()
    assert (execution.status, execution.step_order, execution.request_id) == (
        "pending",
        1,
        "call-1",
    )
    assert run.plan.steps[0]["action"]["id"] == execution.action_id
    assert wake_ups() == ["launch"]


def test_a_local_first_step_wakes_the_local_workers():
    make_step(action=make_local_action())

    deliver(alert_payload())

    assert wake_ups() == ["local"]


def test_an_unmatched_alert_gets_a_reason_and_wakes_no_worker():
    make_step(make_bucket(alert_name_pattern="DiskFull"))

    [receipt] = deliver(alert_payload())

    assert (receipt.disposition, receipt.reason) == ("unmatched", "No bucket matches this alert.")
    assert Alert.objects.get().reason == receipt.reason
    assert wake_ups() == []


def test_a_pause_is_the_reason_of_the_receipt_but_not_of_the_alert():
    make_step(make_bucket(name="host_down"))
    other = alert_payload(labels={"alertname": "Other"})
    pause.pause(reason="network work", expires_at=None, cause=Cause(actor="ann"))

    receipt, unmatched = deliver(alert_payload(), other)
    [repeated] = deliver(alert_payload())

    assert (receipt.disposition, receipt.reason) == ("created", "paused: network work")
    assert unmatched.reason == "No bucket matches this alert."
    assert repeated.reason == ""
    assert Alert.objects.get(alert_name="HostDown").reason == ""


def test_a_disabled_bucket_is_named_as_the_reason():
    make_step(make_bucket(name="host_down", is_enabled=False))

    [receipt] = deliver(alert_payload())

    assert receipt.reason == "The bucket host_down matches but is disabled."


def test_a_repeat_starts_nothing():
    make_step()
    deliver(alert_payload())

    [receipt] = deliver(alert_payload(), request_id="call-2")

    assert (receipt.disposition, receipt.runs) == ("repeated", [])
    assert BucketRun.objects.count() == 1
    assert Alert.objects.get().occurrences == 2


def test_continue_matching_starts_several_buckets():
    for name, priority, continues in (("a", 1, True), ("b", 2, False), ("c", 3, False)):
        make_step(make_bucket(name=name, priority=priority, continue_matching=continues))

    [receipt] = deliver(alert_payload())

    assert receipt.buckets == ["a", "b"]
    assert len(receipt.runs) == 2


def test_a_bucket_on_resolved_runs_when_the_alert_first_resolves():
    make_step(make_bucket(name="all_clear", trigger_on="resolved"))
    start, end = "2026-11-23T05:46:06Z", "2026-11-23T05:50:00Z"
    deliver(alert_payload(startsAt=start))

    [receipt] = deliver(alert_payload(status="resolved", startsAt=start, endsAt=end))
    deliver(alert_payload(startsAt=start))
    [repeated] = deliver(alert_payload(status="resolved", startsAt=start, endsAt=end))

    assert (receipt.disposition, receipt.buckets) == ("resolved", ["all_clear"])
    assert (repeated.disposition, repeated.buckets) == ("resolved", [])
    assert BucketRun.objects.get().trigger == "resolved"


def test_a_resolve_skips_a_pending_run():
    make_step()
    deliver(alert_payload())

    deliver(alert_payload(status="resolved", endsAt="2026-11-23T06:00:00Z"), request_id="call-2")

    run, execution = BucketRun.objects.get(), ActionExecution.objects.get()
    assert (run.status, run.reason) == ("skipped", "the alert resolved before the run began")
    assert (execution.status, execution.due_at) == ("skipped", None)
    moves = Transition.objects.filter(cause_request_id="call-2").order_by("pk")
    assert [(row.subject_type, row.to_status) for row in moves] == [
        ("alert", "resolved"),
        ("run", "skipped"),
        ("execution", "skipped"),
    ]


def test_a_resolve_does_not_skip_a_running_run():
    make_step()
    deliver(alert_payload())
    BucketRun.objects.get().mark_running(cause=Cause())

    deliver(alert_payload(status="resolved", endsAt="2026-11-23T06:00:00Z"))

    assert BucketRun.objects.get().status == "running"


def test_a_new_episode_skips_the_pending_run_of_the_old_one():
    make_step()
    deliver(alert_payload(startsAt="2026-11-23T05:00:00Z"))
    later = (timezone.now() + datetime.timedelta(seconds=1)).isoformat()

    deliver(alert_payload(startsAt=later))

    old, new = BucketRun.objects.order_by("pk")
    assert (old.status, new.status) == ("skipped", "pending")
    assert old.reason == f"superseded by alert {new.alert_id}"


def test_an_alert_resolved_in_the_same_body_starts_nothing():
    make_step()

    receipts = deliver(
        alert_payload(), alert_payload(status="resolved", endsAt="2026-11-23T06:00:00Z")
    )

    assert [receipt.disposition for receipt in receipts] == ["created", "resolved"]
    assert BucketRun.objects.get().status == "skipped"
    assert not ActionExecution.objects.exists()


@pytest.mark.parametrize(
    ("spec", "reason"),
    [
        ({}, "The bucket has no steps"),
        (
            {"use_stackstorm": True, "st2_workflow_name": "a", "st2_workflow_pack": "b"},
            "The bucket has steps and a workflow",
        ),
    ],
)
def test_an_invalid_bucket_fails_its_run_with_the_reason(spec, reason):
    bucket = make_bucket(**spec)
    if spec:
        make_step(bucket)

    [receipt] = deliver(alert_payload())

    run = BucketRun.objects.get()
    assert run.status == "failure"
    assert run.reason.startswith(reason)
    assert reason in receipt.reason


def test_a_workflow_bucket_starts_with_step_zero_and_creates_its_action():
    make_bucket(
        use_stackstorm=True,
        st2_workflow_name="remediation.host_down",
        st2_workflow_pack="remediation",
    )

    deliver(alert_payload())

    execution = ActionExecution.objects.get()
    assert execution.step_order == 0
    assert execution.action is not None
    assert execution.action.action_type == "workflow"
    assert execution.action.st2_action_ref == "remediation.host_down"


def test_the_plan_is_the_bucket_version_of_the_notification():
    step = make_step(parameters={"cmd": "true"})
    deliver(alert_payload())
    step.parameters = {"cmd": "false"}
    step.save()

    later = (timezone.now() + datetime.timedelta(seconds=1)).isoformat()
    deliver(alert_payload(startsAt=later))

    old, new = BucketRun.objects.order_by("pk")
    assert old.plan.steps[0]["parameters"] == {"cmd": "true"}
    assert new.plan.steps[0]["parameters"] == {"cmd": "false"}
    assert list(BucketVersion.objects.values_list("number", "actor")) == [
        (1, "system"),
        (2, "system"),
    ]


def test_a_large_group_needs_few_more_queries_than_a_small_one():
    for name in ("a", "b"):
        make_step(make_bucket(name=name, continue_matching=True, cooldown_seconds=60))

    def queries(count, *, prefix):
        alerts = [
            alert_payload(labels=LABELS | {"instance": f"{prefix}-{number}"})
            for number in range(count)
        ]
        with CaptureQueriesContext(connection) as captured:
            deliver(*alerts)
        return len(captured)

    queries(1, prefix="warm")
    small, large = queries(5, prefix="small"), queries(500, prefix="large")
    repeated_small, repeated_large = queries(5, prefix="small"), queries(500, prefix="large")

    # SQLite allows fewer values per statement, so a large group is written in batches.
    batches = 100 if connection.vendor == "sqlite" else 0
    assert large <= small + batches
    assert repeated_large <= repeated_small + batches // 10
    assert BucketRun.objects.count() == 2 * (1 + 5 + 500)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    "error",
    [
        OperationalError(1213, "Deadlock found when trying to get lock"),
        OperationalError(1205, "Lock wait timeout exceeded"),
        OperationalError("database is locked"),
        IntegrityError("UNIQUE constraint failed: alerts.active_fingerprint"),
    ],
    ids=str,
)
def test_the_transaction_is_retried_after_a_conflict(error, monkeypatch):
    make_step()
    errors = [error, error]

    def save_and_fail_twice(assignments, **options):
        save_runs(assignments, **options)
        if errors:
            raise errors.pop()

    monkeypatch.setattr(deliveries, "save_runs", save_and_fail_twice)

    [receipt] = deliver(alert_payload())

    assert receipt.disposition == "created"
    assert Alert.objects.count() == BucketRun.objects.count() == len(wake_ups()) == 1


@pytest.mark.django_db(transaction=True)
def test_a_lost_database_raises_an_error_and_stores_nothing(monkeypatch):
    make_step()

    def fail(*_args, **_options):
        raise OperationalError(2006, "Server has gone away")

    monkeypatch.setattr(deliveries, "save_runs", fail)

    with pytest.raises(OperationalError):
        deliver(alert_payload())

    assert not Alert.objects.exists()
    assert not Transition.objects.exists()


def test_an_alert_and_bucket_have_one_automatic_run():
    run = make_run()

    with pytest.raises(IntegrityError):
        make_run(bucket=run.bucket, alert=run.alert, plan=run.plan)
