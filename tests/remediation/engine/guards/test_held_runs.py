"""Every held run begins with a repeat of its alert, whatever else the alert started."""

import datetime

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from remediation import clock
from remediation.engine import cancel
from remediation.engine.launching import claim, launch_timeout, preparation
from remediation.models import ActionExecution, Alert, BucketRun, Cause
from tests.factories import alert_payload, make_alert, make_execution, make_run
from tests.remediation.engine.guards.test_cooldown import (
    HOUR,
    begin_and_fire_again,
    deliver,
    later_episode,
    let_the_cooldown_pass,
    local_bucket,
    newest_run,
    repeat,
    resolved,
    run_all,
)

pytestmark = pytest.mark.django_db


def test_a_held_run_without_a_repeat_is_left_to_the_claim_that_skips_it(settings):
    begin_and_fire_again()
    let_the_cooldown_pass()
    settings.LAUNCH_TIMEOUT = 60.0
    run = newest_run()
    Alert.objects.filter(pk=run.alert_id).update(last_seen_at=clock.now() - HOUR)
    over = clock.now() - datetime.timedelta(seconds=61)
    BucketRun.objects.filter(pk=run.pk).update(held_until=over)
    ActionExecution.objects.update(created_at=over - HOUR)
    run.executions.update(due_at=over + datetime.timedelta(seconds=60))

    launch_timeout.expire()
    run_all()

    run = newest_run()
    assert (run.status, run.started_at) == ("skipped", None)
    assert run.executions.get().status == "skipped"


def two_buckets(**seconds):
    """Return two buckets that both take HostDown, by their cooldowns; run them once."""
    for priority, (name, cooldown_seconds) in enumerate(seconds.items()):
        local_bucket(
            name=name,
            cooldown_seconds=cooldown_seconds,
            continue_matching=True,
            priority=priority,
        )
    deliver(alert_payload(startsAt="2026-11-23T05:00:00Z"))
    run_all()
    deliver(resolved())
    deliver(later_episode())
    run_all()


def test_a_held_run_beside_one_that_began_begins_with_a_repeat():
    two_buckets(tell=0, restart=3600)
    before = newest_run().status
    let_the_cooldown_pass()

    repeat()
    run_all()

    run = newest_run()
    assert (before, run.bucket.name, run.status) == ("pending", "restart", "success")
    assert run.alert.reason == ""


def test_of_two_held_runs_the_later_one_still_begins_with_a_repeat():
    two_buckets(tell=3600, restart=7200)

    let_the_cooldown_pass()
    repeat()
    run_all()
    first, second = BucketRun.objects.order_by("pk")[2:]
    assert (first.status, second.status) == ("success", "pending")
    assert second.alert.reason.startswith("The bucket restart matched, but cooling down until")
    let_the_cooldown_pass()
    repeat()
    run_all()

    second.refresh_from_db()
    assert second.status == "success"


def test_a_claim_of_many_reads_the_begins_at_once():
    bucket = local_bucket()
    alerts = [make_alert(fingerprint=f"{number:016x}") for number in range(4)]
    rows = [make_execution(make_run(bucket, alert, identity=alert.fingerprint)) for alert in alerts]
    preparation.load_related(rows)

    with CaptureQueriesContext(connection) as statements:
        claimed = claim.claim(rows, cause=Cause(), parameters={})

    assert len(claimed) == 4
    reads = [one for one in statements.captured_queries if "MAX(" in one["sql"]]
    assert len(reads) == 1


def by_a_resolve(_run):
    ends_at = clock.now() + datetime.timedelta(seconds=2)
    deliver(alert_payload(status="resolved", endsAt=ends_at.isoformat()))


def by_a_person(run):
    cancel.cancel(run, stop=BucketRun.Stop.CANCEL, reason="maintenance", cause=Cause())


def by_its_claim(run):
    Alert.objects.filter(pk=run.alert_id).update(last_seen_at=clock.now() - 2 * HOUR)
    BucketRun.objects.filter(pk=run.pk).update(held_until=clock.now() - HOUR)
    run.executions.update(due_at=clock.now())
    run_all()


@pytest.mark.parametrize("end", [by_a_resolve, by_a_person, by_its_claim])
def test_an_alert_whose_held_run_ended_promises_no_begin(end):
    begin_and_fire_again()
    let_the_cooldown_pass()

    end(newest_run())

    run = newest_run()
    assert run.status in BucketRun.FINAL
    assert run.alert.reason == f"The bucket restart matched, but {run.reason}."
