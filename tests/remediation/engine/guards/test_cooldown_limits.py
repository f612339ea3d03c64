"""The exact end of a cooldown: at that moment it no longer holds, and a repeat counts."""

import datetime

import pytest

from remediation import clock
from remediation.engine.guards import cooldown
from remediation.models import ActionExecution, Alert
from tests.factories import make_alert, make_bucket, make_execution, make_run

HOUR = datetime.timedelta(hours=1)
MICROSECOND = datetime.timedelta(microseconds=1)

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(("early", "is_held"), [(MICROSECOND, True), (0 * HOUR, False)])
def test_a_cooldown_holds_until_its_last_moment(early, is_held):
    bucket = make_bucket(cooldown_seconds=3600)
    started = clock.now()

    until = cooldown.held_until(bucket, started, at=started + HOUR - early)

    assert until == (started + HOUR if is_held else None)


@pytest.mark.parametrize(("early", "is_found"), [(MICROSECOND, True), (0 * HOUR, False)])
def test_the_latest_start_is_read_until_the_cooldown_ends(early, is_found):
    bucket, alert = make_bucket(cooldown_seconds=3600), make_alert()
    run = make_run(bucket, alert, identity=alert.fingerprint, started_at=clock.now())

    assert run.started_at is not None
    found = cooldown.latest_starts([bucket], [run.identity], at=run.started_at + HOUR - early)

    assert found == ({(bucket.pk, run.identity): run.started_at} if is_found else {})


@pytest.mark.parametrize(("early", "is_released"), [(MICROSECOND, False), (0 * HOUR, True)])
def test_a_repeat_at_the_end_of_the_cooldown_releases_the_run(early, is_released):
    until = clock.now()
    execution = make_execution(make_run(held_until=until), due_at=until + HOUR)

    released = cooldown.release([execution.alert], at=until - early)

    assert released == ([execution] if is_released else [])
    execution.refresh_from_db()
    assert (execution.due_at == until - early) == is_released


def test_an_execution_that_is_due_already_is_not_released_again():
    until = clock.now()
    execution = make_execution(make_run(held_until=until), due_at=until)

    assert cooldown.release([execution.alert], at=until) == []
    assert ActionExecution.objects.get().due_at == until


@pytest.mark.parametrize(("early", "is_missing"), [(MICROSECOND, True), (0 * HOUR, False)])
def test_an_alert_seen_at_the_end_of_the_cooldown_is_a_repeat(early, is_missing, settings):
    settings.LAUNCH_TIMEOUT = 60.0
    until = clock.now()
    run = make_run(held_until=until)
    Alert.objects.update(last_seen_at=until - early)
    run.alert.refresh_from_db()

    assert bool(cooldown.missing_repeat_reason(run)) == is_missing
    deadline = until + datetime.timedelta(seconds=60)
    assert cooldown.launch_timeout_start(run) == (deadline if is_missing else until)
