"""Metrics of work in flight, in the Prometheus format, at a limited cost."""

import datetime
import os
import re

import pytest
from django.utils import timezone
from django_q.models import OrmQ

from audit.middleware import unrecorded_calls
from remediation.engine.operations import pause
from remediation.models import Cause, Heartbeat, JobSchedule, Problem
from tests import factories

pytestmark = pytest.mark.django_db

SAMPLE = re.compile(r'[a-z_]+(\{[a-z]+="[a-z0-9_.@:-]+"\})? [0-9.e+-]+')


@pytest.fixture
def reader():
    return factories.make_client("read")


def samples(client):
    response = client.get("/metrics")
    assert response["Content-Type"].startswith("text/plain; version=0.0.4")
    lines = [line for line in response.content.decode().splitlines() if not line.startswith("#")]
    assert all(SAMPLE.fullmatch(line) for line in lines)
    return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines)}


def test_work_in_flight_is_counted(reader):
    run = factories.make_run(status="running", alert=factories.make_alert(status="resolved"))
    for number, status in enumerate(["launching", "running", "running", "success"], start=1):
        factories.make_execution(run, status=status, attempt=number)
    factories.make_alert()

    metrics = samples(reader)

    assert metrics["poundcake_alerts_firing"] == 1
    assert metrics['poundcake_runs{status="running"}'] == 1
    assert metrics['poundcake_runs{status="unknown"}'] == 0
    assert metrics['poundcake_executions{status="launching"}'] == 1
    assert metrics['poundcake_executions{status="running"}'] == 2
    assert metrics['poundcake_executions{status="pending"}'] == 0
    assert 'poundcake_executions{status="success"}' not in metrics


def test_rejected_alerts_are_counted(reader):
    assert samples(reader)["poundcake_rejected_alerts_total"] == 0
    factories.make_rejected_alert(total=41)
    factories.make_rejected_alert(total=42)

    assert samples(reader)["poundcake_rejected_alerts_total"] == 42


def test_the_ages_of_wake_ups_and_heartbeats_are_exported(reader):
    before = timezone.now() - datetime.timedelta(minutes=2)
    OrmQ.objects.create(key="launch", payload="", lock=before)
    JobSchedule.objects.create(name="tick", started_at=before, due_at=before)

    metrics = samples(reader)

    assert 119 < metrics['poundcake_wakeup_age_seconds{cluster="launch"}'] < 200
    assert metrics['poundcake_wakeup_age_seconds{cluster="local"}'] == 0
    assert 119 < metrics['poundcake_heartbeat_age_seconds{job="tick"}'] < 200


def test_a_pause_and_an_unreachable_stackstorm_are_exported(reader):
    before = samples(reader)
    pause.pause(reason="maintenance", expires_at=None, cause=Cause())
    Problem.report("stackstorm", "refused", at=timezone.now())

    after = samples(reader)

    for name in ("poundcake_paused", "poundcake_stackstorm_unreachable"):
        assert (before[name], after[name]) == (0, 1)
    assert 'poundcake_heartbeat_age_seconds{job="stackstorm"}' not in after


def test_calls_that_could_not_be_recorded_are_counted_by_process(reader):
    name = f'poundcake_unrecorded_calls_total{{process="{os.getpid()}"}}'
    before = samples(reader)[name]
    unrecorded_calls.add_one()

    assert samples(reader)[name] == before + 1


def test_the_number_of_queries_is_constant(reader, django_assert_max_num_queries):
    samples(reader)
    for _ in range(5):
        factories.make_execution()

    with django_assert_max_num_queries(11):
        samples(reader)


def test_the_clock_skew_of_every_process_is_exported(reader, monkeypatch):
    at = timezone.now()
    Heartbeat.record("launch@web-1", at=at, skew_seconds=600.0)
    Heartbeat.record("launch@gone-1", at=at - datetime.timedelta(hours=1), skew_seconds=9.0)
    Problem.report("clock@web-1", "wrong", at=at)
    monkeypatch.setattr("remediation.clock.skew_seconds", lambda: 0.25)

    metrics = samples(reader)

    named = {name: value for name, value in metrics.items() if "skew" in name}
    assert named == {
        'poundcake_clock_skew_seconds{process="web"}': 0.25,
        'poundcake_clock_skew_seconds{process="launch@web-1"}': 600,
    }
