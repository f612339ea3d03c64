"""Who is launched next when much waits."""

import datetime

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


def bucket_of(name):
    bucket = make_bucket(name=name)
    make_step(bucket, make_action(st2_runner="local-shell-cmd"), parameters={"cmd": "true"})
    return bucket


def waiting(bucket, now, *, seconds, priority=1):
    due_at = now - datetime.timedelta(seconds=seconds)
    return make_execution(make_run(bucket), due_at=due_at, priority=priority)


def taken(count=100):
    return [row.pk for row in LaunchQueue().take(count)]


def test_the_oldest_of_a_bucket_goes_first(now):
    bucket = bucket_of("one")
    younger, older = (waiting(bucket, now, seconds=seconds) for seconds in (10, 20))

    assert taken() == [older.pk, younger.pk]


def test_a_critical_alert_does_not_wait_behind_a_storm_of_warnings(now):
    bucket = bucket_of("one")
    warnings = [waiting(bucket, now, seconds=60, priority=3).pk for _ in range(9)]
    critical = waiting(bucket, now, seconds=1, priority=0)

    assert taken() == [critical.pk, *warnings]


def test_buckets_take_turns_so_that_a_noisy_one_starves_nobody(now):
    noisy, quiet = bucket_of("noisy"), bucket_of("quiet")
    many = [waiting(noisy, now, seconds=60).pk for _ in range(9)]
    few = [waiting(quiet, now, seconds=1).pk for _ in range(2)]

    assert taken() == [many[0], few[0], many[1], few[1], *many[2:]]


@pytest.mark.parametrize(
    "columns",
    [
        {"due_at": timezone.now() + datetime.timedelta(hours=1)},
        {"status": "running"},
        {"executed_via_stackstorm": False},
    ],
    ids=["not due", "running", "local"],
)
def test_nobody_else_stands_in_the_line(columns):
    make_execution(**columns)

    assert taken() == []


def test_while_paused_nobody_is_called():
    make_execution()
    pause.pause(reason="maintenance", expires_at=None, cause=Cause())

    assert taken() == []


def test_each_is_handed_out_once_and_who_comes_in_the_meantime_too(now, monkeypatch):
    monkeypatch.setattr(launch_order, "REFRESH_SECONDS", 0.0)
    bucket = bucket_of("one")
    first = waiting(bucket, now, seconds=60)
    waiters = LaunchQueue()
    assert [row.pk for row in waiters.take(1)] == [first.pk]

    urgent = waiting(bucket, now, seconds=1, priority=0)

    assert [row.pk for row in waiters.take(5)] == [urgent.pk]
    assert waiters.take(5) == []


def test_launches_go_out_in_the_order_of_the_line(now, sandbox, st2, settings):
    settings.ST2_MAX_CONCURRENT_REQUESTS = 2
    noisy, quiet = bucket_of("noisy"), bucket_of("quiet")
    many = [waiting(noisy, now, seconds=60) for _ in range(4)]
    critical = waiting(quiet, now, seconds=1, priority=0)

    assert launch.launch_due(client=st2) == 5

    sent = list(sandbox.posts_by_trace_tag())
    assert sent == [row.trace_tag for row in (critical, *many)]
    assert not ActionExecution.objects.filter(status="pending").exists()


def test_launchers_that_work_at_once_begin_at_places_of_their_own(now, monkeypatch):
    monkeypatch.setattr(launch_order, "LAUNCHER_SHARE", 3)
    for number in range(2):
        Heartbeat.objects.create(name=f"launch@host-{number}", beat_at=now)
    before = now - datetime.timedelta(minutes=2)
    Heartbeat.objects.create(name="launch@dead", beat_at=before)
    bucket = bucket_of("one")
    pks = [waiting(bucket, now, seconds=60).pk for _ in range(9)]

    found = {tuple(taken()) for _ in range(40)}

    assert found == {tuple(pks), (*pks[3:], *pks[:3])}


def test_what_is_taken_brings_all_that_rendering_reads(now, django_assert_num_queries):
    bucket = bucket_of("one")
    for _ in range(3):
        waiting(bucket, now, seconds=1)
    executions = LaunchQueue().take(100)

    with django_assert_num_queries(1):  # config values, for all of them
        rendered = parameters.render_all(executions)

    assert [rendered[row.pk].sent["cmd"] for row in executions] == ["true"] * 3
