"""The cooldown holds automatic runs of the same alert; a repeat of the alert starts them."""

import datetime
import json

import pytest
from django.core.exceptions import ValidationError

from remediation import alertmanager, clock
from remediation.engine.intake import receive
from remediation.engine.launching import launch, launch_timeout
from remediation.engine.operations import errors, retry
from remediation.engine.operations.bucket_warnings import warnings_of
from remediation.engine.waiting_reasons import WaitReasons
from remediation.models import ActionExecution, Alert, Bucket, BucketRun, Cause, Transition
from tests.factories import (
    LABELS,
    alert_payload,
    make_action,
    make_bucket,
    make_client,
    make_local_action,
    make_step,
    notification_body,
)
from tests.paths import CONTRACTS

pytestmark = [pytest.mark.django_db, pytest.mark.slow]

VOLATILE = CONTRACTS / "cases" / "08-volatile-label.json"
HOUR = datetime.timedelta(hours=1)


def deliver(*alerts, request_id="call-1"):
    body = json.dumps(notification_body(*alerts)).encode()
    cause = Cause(actor="alertmanager", request_id=request_id)
    return receive.receive(alertmanager.parse(body), cause=cause, client="192.0.2.9")


def local_bucket(**columns):
    """Return a bucket for HostDown with one local step and a cooldown of one hour."""
    bucket = make_bucket(**{"name": "restart", "cooldown_seconds": 3600} | columns)
    make_step(bucket, make_local_action(), parameters={"message": "restarted"})
    return bucket


def run_all():
    while launch.run_local():
        pass


def new_episode(seconds=1):
    starts_at = clock.now() + datetime.timedelta(seconds=seconds)
    return alert_payload(startsAt=starts_at.isoformat())


def resolved():
    ends_at = clock.now().isoformat()
    return alert_payload(status="resolved", endsAt=ends_at, startsAt="2026-11-23T05:00:00Z")


def run_and_fire_again():
    """Run the bucket once, resolve the alert and let it fire again within the cooldown."""
    bucket = local_bucket()
    deliver(alert_payload(startsAt="2026-11-23T05:00:00Z"))
    run_all()
    deliver(resolved())
    [receipt] = deliver(new_episode())
    return bucket, receipt


def repeat():
    starts_at = Alert.objects.latest("pk").starts_at
    return deliver(alert_payload(startsAt=starts_at.isoformat()))


def end_the_cooldown():
    for run in BucketRun.objects.all():
        started = run.started_at and run.started_at - HOUR
        held = run.held_until and run.held_until - HOUR
        BucketRun.objects.filter(pk=run.pk).update(started_at=started, held_until=held)


def newest_run():
    return BucketRun.objects.order_by("pk").last()


def test_a_run_within_the_cooldown_is_held_and_shows_until_when():
    bucket, receipt = run_and_fire_again()

    run_all()

    run = newest_run()
    assert (run.status, run.started_at) == ("pending", None)
    assert run.held_until - bucket.runs.first().started_at == HOUR
    assert run.reason.startswith("cooling down until ")
    matched = f"The bucket restart matched, but {run.reason}."
    assert receipt.reason == f"{matched} It starts when the alert is repeated after that."
    assert run.alert.reason == receipt.reason
    execution = run.executions.get()
    assert (execution.status, execution.error_message) == ("pending", run.reason)
    assert WaitReasons().reason(execution) == (
        f"It is {run.reason}. It starts when the alert is repeated after that."
    )


def test_a_held_run_starts_with_the_repeat_after_the_cooldown():
    run_and_fire_again()
    end_the_cooldown()

    run_all()
    before = newest_run().status
    [receipt] = repeat()
    run_all()

    run = newest_run()
    assert (before, receipt.disposition, run.status) == ("pending", "repeated", "success")
    assert run.alert.reason == ""
    assert BucketRun.objects.count() == 2


def test_repeats_within_the_cooldown_start_nothing():
    run_and_fire_again()

    for _repeat in range(3):
        repeat()
        run_all()

    assert newest_run().status == "pending"


def test_repeats_after_the_start_start_nothing_more():
    run_and_fire_again()
    end_the_cooldown()

    for _repeat in range(3):
        repeat()
        run_all()

    assert list(BucketRun.objects.values_list("status", flat=True)) == ["success", "success"]
    assert ActionExecution.objects.count() == 2


def test_a_held_run_ends_when_its_alert_resolves():
    run_and_fire_again()

    ends_at = (clock.now() + datetime.timedelta(seconds=2)).isoformat()
    deliver(alert_payload(status="resolved", endsAt=ends_at))

    run = newest_run()
    assert (run.status, run.reason) == ("skipped", "the alert resolved before the run began")


def test_a_held_run_without_a_repeat_is_skipped_after_the_launch_timeout(settings):
    run_and_fire_again()
    end_the_cooldown()
    settings.LAUNCH_TIMEOUT = 60.0
    past = clock.now() - datetime.timedelta(seconds=1)
    run = newest_run()
    Alert.objects.filter(pk=run.alert_id).update(last_seen_at=run.held_until - HOUR)
    run.executions.update(due_at=past)

    run_all()

    run = newest_run()
    assert run.status == "skipped"
    assert "the alert was not repeated within 60 s (LAUNCH_TIMEOUT)" in run.reason


def test_a_held_run_does_not_time_out_during_its_cooldown(settings):
    run_and_fire_again()
    settings.LAUNCH_TIMEOUT = 60.0
    ActionExecution.objects.update(created_at=clock.now() - datetime.timedelta(days=3))

    launch_timeout.expire()

    assert newest_run().status == "pending"


def test_a_hold_at_the_claim_has_a_transition():
    local_bucket(group_by="alertname")
    deliver(alert_payload(), alert_payload(labels=LABELS | {"instance": "server-02:9100"}))

    run_all()

    held = BucketRun.objects.get(status="pending")
    hold = Transition.objects.filter(subject_type="run", subject_id=held.pk).latest("pk")
    assert (hold.from_status, hold.to_status) == ("pending", "pending")
    assert hold.reason == held.reason
    assert held.held_until is not None
    assert hold.data == {"held_until": held.held_until.isoformat()}
    assert "for the same alertname at" in held.reason
    assert held.alert.reason.endswith("It starts when the alert is repeated after that.")


def test_alerts_that_differ_in_other_labels_start_a_bucket_with_group_by_once():
    local_bucket(alert_name_pattern="VolatileLabel", group_by="alertname, instance")
    notification = alertmanager.parse(VOLATILE.read_bytes())

    receive.receive(notification, cause=Cause(), client="192.0.2.9")
    run_all()

    assert Alert.objects.count() == 3
    assert BucketRun.objects.filter(started_at__isnull=False).count() == 1
    assert BucketRun.objects.filter(status="pending", held_until__isnull=False).count() == 2


def test_without_group_by_all_labels_count():
    local_bucket(alert_name_pattern="VolatileLabel")

    receive.receive(alertmanager.parse(VOLATILE.read_bytes()), cause=Cause(), client="192.0.2.9")
    run_all()

    assert BucketRun.objects.filter(status="success").count() == 3


def test_other_alerts_and_runs_that_never_started_hold_nothing():
    local_bucket()
    deliver(alert_payload(startsAt="2026-11-23T05:00:00Z"))

    deliver(new_episode(), alert_payload(labels=LABELS | {"instance": "server-02:9100"}))
    run_all()

    assert BucketRun.objects.filter(status="success").count() == 2


def test_a_manual_run_counts_for_the_cooldown_and_is_not_held():
    bucket = local_bucket()
    deliver(alert_payload(startsAt="2026-11-23T05:00:00Z"))
    run_all()
    alert = Alert.objects.get()

    retry.run_manually(bucket, alert, cause=Cause(actor="ann"))
    run_all()

    assert newest_run().status == "success"
    assert newest_run().identity == alert.fingerprint


def test_a_manual_run_is_refused_while_a_run_is_held():
    bucket, _receipt = run_and_fire_again()

    with pytest.raises(errors.NotPossible, match="Cancel it to start the bucket now"):
        retry.run_manually(bucket, newest_run().alert, cause=Cause(actor="ann"))


def test_a_run_for_a_resolve_within_the_cooldown_is_skipped():
    local_bucket(trigger_on="resolved")
    for start in ("05:00:00Z", "06:00:00Z"):
        deliver(alert_payload(startsAt=f"2026-11-23T{start}"))
        deliver(resolved())
        run_all()
        Alert.objects.update(ends_at="2026-11-23T05:30:00Z")

    first, second = BucketRun.objects.order_by("pk")
    assert (first.status, second.status) == ("success", "skipped")
    assert second.reason.startswith("cooling down until")


def test_an_alert_without_a_bucket_is_matched_when_it_is_repeated():
    deliver(alert_payload())
    make_step(make_bucket(name="new"), make_local_action(), parameters={"message": "x"})

    [receipt] = deliver(alert_payload(), request_id="call-2")
    run_all()

    run = BucketRun.objects.get()
    assert (receipt.disposition, receipt.buckets, receipt.runs) == ("repeated", ["new"], [run.pk])
    assert (run.status, run.request_id, run.alert.reason) == ("success", "call-1", "")
    made = Transition.objects.filter(subject_type="run", subject_id=run.pk).earliest("pk")
    assert made.cause_request_id == "call-2"


def test_an_alert_that_matched_a_bucket_is_not_matched_again():
    bucket = make_bucket()
    make_step(bucket, make_local_action(), parameters={"message": "x"})
    deliver(alert_payload())
    run_all()
    make_step(make_bucket(name="later", priority=1), make_local_action())

    [receipt] = deliver(alert_payload())

    assert (receipt.disposition, receipt.runs) == ("repeated", [])
    assert BucketRun.objects.count() == 1


def test_an_enabled_bucket_matches_the_next_repeat():
    bucket = make_bucket(is_enabled=False, name="off")
    make_step(bucket, make_local_action(), parameters={"message": "x"})
    deliver(alert_payload())
    reason = Alert.objects.get().reason
    Bucket.objects.update(is_enabled=True)

    deliver(alert_payload())

    assert reason == "The bucket off matches but is disabled."
    assert BucketRun.objects.get().status == "pending"
    assert Alert.objects.get().reason == ""


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("instance,,job", "A label is missing between two commas"),
        ("{instance}", "is no label name"),
        ('"instance"', "is no label name"),
    ],
)
def test_an_invalid_group_by_is_refused(text, error):
    with pytest.raises(ValidationError, match=error):
        make_bucket(group_by=text).full_clean()


def test_group_by_is_part_of_the_definition_only_when_set():
    plain = make_step(make_bucket(), make_action()).bucket
    grouped = make_step(make_bucket(group_by="instance"), make_action()).bucket

    assert "group_by" not in plain.definition()["bucket"]
    assert grouped.definition()["bucket"]["group_by"] == "instance"


def test_a_bucket_warns_about_alerts_that_evade_its_cooldown():
    bucket = local_bucket(alert_name_pattern="VolatileLabel")
    before = warnings_of(bucket)
    receive.receive(alertmanager.parse(VOLATILE.read_bytes()), cause=Cause(), client="192.0.2.9")
    run_all()

    [warning] = warnings_of(bucket)

    assert before == []
    assert warning.startswith(
        "3 different alerts of the instance a:1 started this bucket within its cooldown of 3600 s:"
        " they differ in value."
    )


def test_the_warning_is_shown_on_the_page_and_in_the_api(admin_client):
    bucket = local_bucket(alert_name_pattern="VolatileLabel")
    receive.receive(alertmanager.parse(VOLATILE.read_bytes()), cause=Cause(), client="192.0.2.9")
    run_all()

    page = admin_client.get(f"/admin/remediation/bucket/{bucket.pk}/change/").content.decode()
    answer = make_client("read").get(f"/api/v1/buckets/{bucket.pk}/").json()

    assert "they differ in value" in page
    assert "they differ in value" in answer["warnings"][0]
