"""After a backup is restored, what may have run is searched in StackStorm before its launch."""

import datetime
import json

import pytest
from django.db.models import F
from django.utils import timezone

from remediation.alertmanager import parse
from remediation.engine.intake import receive
from remediation.engine.launching import launch, launch_timeout, lookup
from remediation.engine.operations import pause, restore
from remediation.engine.outcomes import poll
from remediation.models import ActionExecution, Alert, BucketRun, Cause, Heartbeat, Pause, Restore
from remediation.models.trace_tags import of_automatic_run, of_later_execution
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
from tests.remediation.engine.launching.due_executions import due_execution

pytestmark = pytest.mark.django_db

Status = ActionExecution.Status
DAY = datetime.timedelta(days=1)


@pytest.fixture(autouse=True)
def _short_lookup(settings):
    settings.LAUNCH_LOOKUP_SECONDS = 0.0


@pytest.fixture
def two_steps():
    bucket = make_bucket()
    for name in ("stop", "start"):
        make_step(
            bucket,
            make_action(st2_runner="local-shell-cmd"),
            name=name,
            parameters={"cmd": "true"},
        )
    return bucket


def restore_backup(*rows):
    """Return the rows to their status before a launch, as a restored backup does, and resume."""
    for row in rows:
        ActionExecution.objects.filter(run=row.run).exclude(pk=row.pk).delete()
        ActionExecution.objects.filter(pk=row.pk).update(
            status=Status.PENDING,
            st2_execution_id=None,
            started_at=None,
            completed_at=None,
            due_at=row.created_at,
        )
        BucketRun.objects.filter(pk=row.run_id).update(
            status=BucketRun.Status.PENDING, started_at=None, completed_at=None
        )
    restore.after_restore(cause=Cause())
    pause.resume(cause=Cause())


def deliver(alert, request_id="call-1"):
    notification = parse(json.dumps(notification_body(alert)).encode())
    receive.receive(notification, cause=Cause(request_id=request_id), client="10.0.0.9")


def work(client):
    """Launch, look up and poll until nothing is left to do."""
    for _round in range(8):
        ActionExecution.objects.filter(due_at__isnull=False).update(due_at=timezone.now())
        launch.launch_due(client=client)
        launch.run_local()
        lookup.look_up_due(client=client)
        poll.poll_due(client=client)


def test_the_restored_steps_of_a_run_are_found_and_followed(two_steps, sandbox, st2):
    first = make_execution(make_run(two_steps))
    work(st2)
    launched = {row["id"] for row in sandbox.executions}
    restore_backup(first)

    work(st2)

    rows = list(first.run.executions.order_by("step_order"))
    assert [row.status for row in rows] == [Status.SUCCESS, Status.SUCCESS]
    assert {row.st2_execution_id for row in rows} == launched
    assert len(sandbox.executions) == 2


def test_what_was_not_launched_before_is_launched_once(two_steps, sandbox, st2):
    first = make_execution(make_run(two_steps))
    restore_backup(first)

    work(st2)

    first.run.refresh_from_db()
    assert first.run.status == BucketRun.Status.SUCCESS
    assert len(sandbox.executions) == 2
    assert sandbox.started_twice() == []


def test_the_search_lasts_until_no_launch_can_be_under_way(settings, sandbox, st2):
    settings.LAUNCH_LOOKUP_SECONDS = 300.0
    execution = due_execution()
    restore_backup(execution)

    work(st2)

    execution.refresh_from_db()
    assert execution.status == Status.LAUNCHING
    assert "a backup was restored" in execution.error_message
    restored_at = Restore.objects.get().at
    assert execution.lookup_until == restored_at + datetime.timedelta(seconds=300)
    assert len(sandbox.executions) == 0


def test_an_alert_that_the_backup_does_not_know_is_not_repaired_again(two_steps, sandbox, st2):
    alert = alert_payload(startsAt="2026-03-01T10:00:00.123456789Z")
    deliver(alert)
    work(st2)
    assert len(sandbox.executions) == 2
    ActionExecution.objects.all().delete()
    BucketRun.objects.all().delete()
    Alert.objects.all().delete()
    restore.after_restore(cause=Cause())
    pause.resume(cause=Cause())

    deliver(alert)
    work(st2)

    assert BucketRun.objects.get().status == BucketRun.Status.SUCCESS
    assert len(sandbox.executions) == 2


def test_a_second_episode_of_one_time_gets_another_tag(two_steps):
    alert = alert_payload(startsAt="2026-03-01T10:00:00Z")
    deliver(alert)
    # As after a clock was set back: the newest episode is older than the first one.
    Alert.objects.update(status="resolved", active_fingerprint=None, ends_at=F("starts_at"))
    Alert.objects.update(starts_at=F("starts_at") - DAY, ends_at=F("ends_at") - DAY)

    deliver(alert, request_id="call-2")

    tags = ActionExecution.objects.values_list("trace_tag", flat=True)
    assert len(set(tags)) == BucketRun.objects.count() == 2


def test_an_alert_of_after_the_restore_is_launched_at_once(settings, two_steps, sandbox, st2):
    settings.LAUNCH_LOOKUP_SECONDS = 300.0
    Restore.objects.create(at=timezone.now() - DAY, actor="root")
    make_execution(make_run(two_steps))

    launch.launch_due(client=st2)

    assert len(sandbox.executions) == 1


def test_a_local_action_that_must_not_repeat_waits_for_an_operator(st2):
    bucket = make_bucket()
    make_step(bucket, make_local_action("http_request"), parameters={"url": "http://192.0.2.1/"})
    execution = make_execution(make_run(bucket))
    restore_backup(execution)

    work(st2)

    execution.refresh_from_db()
    execution.run.refresh_from_db()
    assert (execution.status, execution.run.status) == (Status.UNKNOWN, BucketRun.Status.UNKNOWN)
    assert "must not run twice" in execution.error_message


def test_a_local_action_runs_if_the_step_before_had_not_been_launched(st2):
    bucket = make_bucket()
    make_step(bucket, make_action(st2_runner="local-shell-cmd"), parameters={"cmd": "true"})
    make_step(bucket, make_local_action("http_request"), parameters={"url": "not a url"})
    first = make_execution(make_run(bucket))
    restore_backup(first)

    work(st2)

    assert first.run.executions.get(step_order=2).status == Status.FAILURE


def test_an_old_row_is_searched_before_it_times_out(settings, sandbox, st2):
    settings.LAUNCH_TIMEOUT = 3600.0
    old, never_launched = due_execution(), due_execution()
    ActionExecution.objects.filter(pk=never_launched.pk).update(due_at=None)
    work_rows = (old, never_launched)
    launch.launch_due(client=st2)
    ActionExecution.objects.update(created_at=timezone.now() - DAY)
    restore_backup(*work_rows)

    launch_timeout.expire()
    statuses = set(ActionExecution.objects.values_list("status", flat=True))
    work(st2)
    launch_timeout.expire()

    assert statuses == {Status.PENDING}
    old.refresh_from_db()
    assert old.status == Status.SUCCESS
    assert len(sandbox.executions) == 2


@pytest.mark.parametrize("silent_seconds", [0, 59])
def test_after_restore_is_refused_while_workers_live(silent_seconds):
    beat_at = timezone.now() - datetime.timedelta(seconds=silent_seconds)
    Heartbeat.record("launch@web-01-77", at=beat_at)

    with pytest.raises(restore.WorkersAlive, match=r"launch@web-01-77 .* Stop all workers"):
        restore.after_restore(cause=Cause())

    assert not Restore.objects.exists()
    assert not Pause.objects.exists()


def test_after_restore_pauses_and_counts_the_unfinished_work():
    Heartbeat.record("launch@web-01-77", at=timezone.now() - datetime.timedelta(seconds=61))
    due_execution()
    running = due_execution(status=Status.RUNNING)

    found = restore.after_restore(cause=Cause(actor="jane"))

    assert Pause.current(at=timezone.now()) is not None
    assert (found.in_stackstorm, found.in_flight, found.unknown_runs) == (1, [running], 0)


def test_trace_tags_differ_by_alert_bucket_step_attempt_and_installation(settings):
    at = datetime.datetime(2026, 3, 1, 10, tzinfo=datetime.UTC)
    later = at + datetime.timedelta(microseconds=1)

    def tag(fingerprint="a1", starts_at=at, bucket_id=1):
        return of_automatic_run(fingerprint=fingerprint, starts_at=starts_at, bucket_id=bucket_id)

    tags = [tag(), tag(fingerprint="a2"), tag(starts_at=later), tag(bucket_id=2)]
    tags += [of_later_execution(tag(), step_order=2, attempt=n) for n in (1, 2)]
    tags += [of_later_execution(tag(), step_order=1, attempt=2)]
    settings.SECRET_KEY = "another installation" * 3
    tags += [tag()]

    assert len(set(tags)) == len(tags)
    assert {len(one) for one in tags} == {len("poundcake-") + 32}
    assert len({one[:22] for one in tags}) == 1  # neighbors in the index
