"""A held run starts with a repeat of its alert, whichever other runs the alert has."""

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
    deliver,
    end_the_cooldown,
    local_bucket,
    new_episode,
    newest_run,
    repeat,
    resolved,
    run_all,
    run_and_fire_again,
)

pytestmark = pytest.mark.django_db


def test_a_held_run_without_a_repeat_is_skipped_by_the_claim_and_does_not_time_out(settings):
    run_and_fire_again()
    end_the_cooldown()
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


def run_buckets(**seconds):
    """Create buckets for HostDown with these cooldowns, run each once, and fire the alert again."""
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
    deliver(new_episode())
    run_all()


def test_a_held_run_beside_a_started_one_starts_with_a_repeat():
    run_buckets(notify=0, restart=3600)
    before = newest_run().status
    end_the_cooldown()

    repeat()
    run_all()

    run = newest_run()
    assert (before, run.bucket.name, run.status) == ("pending", "restart", "success")
    assert run.alert.reason == ""


def test_the_later_of_two_held_runs_starts_with_a_later_repeat():
    run_buckets(notify=3600, restart=7200)

    end_the_cooldown()
    repeat()
    run_all()
    first, second = BucketRun.objects.order_by("pk")[2:]
    assert (first.status, second.status) == ("success", "pending")
    assert second.alert.reason.startswith("The bucket restart matched, but cooling down until")
    end_the_cooldown()
    repeat()
    run_all()

    second.refresh_from_db()
    assert second.status == "success"


def test_a_claim_of_many_reads_the_latest_starts_in_one_query():
    bucket = local_bucket()
    alerts = [make_alert(fingerprint=f"{number:016x}") for number in range(4)]
    rows = [make_execution(make_run(bucket, alert, identity=alert.fingerprint)) for alert in alerts]
    preparation.load_related(rows)

    with CaptureQueriesContext(connection) as statements:
        claimed = claim.claim(rows, cause=Cause(), parameters={})

    assert len(claimed) == 4
    reads = [one for one in statements.captured_queries if "MAX(" in one["sql"]]
    assert len(reads) == 1


def resolve(_run):
    ends_at = clock.now() + datetime.timedelta(seconds=2)
    deliver(alert_payload(status="resolved", endsAt=ends_at.isoformat()))


def cancel_by_operator(run):
    cancel.cancel(run, stop=BucketRun.Stop.CANCEL, reason="maintenance", cause=Cause())


def miss_the_repeat(run):
    Alert.objects.filter(pk=run.alert_id).update(last_seen_at=clock.now() - 2 * HOUR)
    BucketRun.objects.filter(pk=run.pk).update(held_until=clock.now() - HOUR)
    run.executions.update(due_at=clock.now())
    run_all()


@pytest.mark.parametrize("end", [resolve, cancel_by_operator, miss_the_repeat])
def test_an_alert_whose_held_run_ended_shows_no_future_start(end):
    run_and_fire_again()
    end_the_cooldown()

    end(newest_run())

    run = newest_run()
    assert run.status in BucketRun.FINAL
    assert run.alert.reason == f"The bucket restart matched, but {run.reason}."
