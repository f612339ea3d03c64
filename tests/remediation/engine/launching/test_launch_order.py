"""Launch order: by priority, then round-robin over buckets, oldest first."""

import datetime
from typing import Any

import pytest
from django.utils import timezone

from remediation.engine.launching import launch, launch_order, parameters
from remediation.engine.launching.launch_order import LaunchQueue
from remediation.engine.operations import pause
from remediation.models import ActionExecution, Cause, Heartbeat
from tests.factories import make_action, make_bucket, make_execution, make_run, make_step

pytestmark = pytest.mark.django_db


@pytest.fixture
def now():
    return timezone.now()


def bucket_with_step(name):
    bucket = make_bucket(name=name)
    make_step(bucket, make_action(st2_runner="local-shell-cmd"), parameters={"cmd": "true"})
    return bucket


def due_for(bucket, now, *, seconds, priority=1):
    due_at = now - datetime.timedelta(seconds=seconds)
    return make_execution(make_run(bucket), due_at=due_at, priority=priority)


def take_all():
    return [row.pk for row in LaunchQueue().take(100)]


def test_the_oldest_of_a_bucket_goes_first(now):
    bucket = bucket_with_step("one")
    younger, older = (due_for(bucket, now, seconds=seconds) for seconds in (10, 20))

    assert take_all() == [older.pk, younger.pk]


def test_a_critical_alert_does_not_wait_behind_a_storm_of_warnings(now):
    bucket = bucket_with_step("one")
    warnings = [due_for(bucket, now, seconds=60, priority=3).pk for _ in range(9)]
    critical = due_for(bucket, now, seconds=1, priority=0)

    assert take_all() == [critical.pk, *warnings]


def test_buckets_take_turns_so_that_a_noisy_one_delays_no_other(now):
    noisy, quiet = bucket_with_step("noisy"), bucket_with_step("quiet")
    many = [due_for(noisy, now, seconds=60).pk for _ in range(9)]
    few = [due_for(quiet, now, seconds=1).pk for _ in range(2)]

    assert take_all() == [many[0], few[0], many[1], few[1], *many[2:]]


@pytest.mark.parametrize(
    "columns",
    [
        {"due_at": timezone.now() + datetime.timedelta(hours=1)},
        {"status": "running"},
        {"executed_via_stackstorm": False},
    ],
    ids=["not due", "running", "local"],
)
def test_other_executions_are_not_in_the_queue(columns):
    make_execution(**columns)

    assert take_all() == []


def test_the_queue_is_empty_while_paused():
    make_execution()
    pause.pause(reason="maintenance", expires_at=None, cause=Cause())

    assert take_all() == []


def test_each_execution_is_returned_once_including_later_ones(now, monkeypatch):
    monkeypatch.setattr(launch_order, "REFRESH_SECONDS", 0.0)
    bucket = bucket_with_step("one")
    first = due_for(bucket, now, seconds=60)
    launch_queue = LaunchQueue()
    assert [row.pk for row in launch_queue.take(1)] == [first.pk]

    urgent = due_for(bucket, now, seconds=1, priority=0)

    assert [row.pk for row in launch_queue.take(5)] == [urgent.pk]
    assert launch_queue.take(5) == []


def test_launches_are_sent_in_launch_order(now, sandbox, st2, settings):
    settings.ST2_MAX_CONCURRENT_REQUESTS = 2
    noisy, quiet = bucket_with_step("noisy"), bucket_with_step("quiet")
    many = [due_for(noisy, now, seconds=60) for _ in range(4)]
    critical = due_for(quiet, now, seconds=1, priority=0)

    assert launch.launch_due(client=st2) == 5

    sent = list(sandbox.posts_by_trace_tag())
    assert sent == [row.trace_tag for row in (critical, *many)]
    assert not ActionExecution.objects.filter(status="pending").exists()


def test_simultaneous_launchers_begin_at_different_offsets(now, monkeypatch):
    monkeypatch.setattr(launch_order, "LAUNCHER_SHARE", 3)
    for number in range(2):
        Heartbeat.objects.create(name=f"launch@host-{number}", beat_at=now)
    before = now - datetime.timedelta(minutes=2)
    Heartbeat.objects.create(name="launch@dead", beat_at=before)
    bucket = bucket_with_step("one")
    pks = [due_for(bucket, now, seconds=60).pk for _ in range(9)]

    found = {tuple(take_all()) for _ in range(40)}

    assert found == {tuple(pks), (*pks[3:], *pks[:3])}


def test_taken_executions_are_loaded_with_all_rows_for_rendering(now, django_assert_num_queries):
    bucket = bucket_with_step("one")
    for _ in range(3):
        due_for(bucket, now, seconds=1)
    executions = LaunchQueue().take(100)

    with django_assert_num_queries(1):  # the config values, once for all
        rendered: dict[int, Any] = parameters.render_all(executions)

    assert [rendered[row.pk].sent["cmd"] for row in executions] == ["true"] * 3
