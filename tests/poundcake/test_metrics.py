"""Gauges of the work in flight, and the format of ``/metrics``."""

import datetime
import socket
import subprocess

import pytest
from django.utils import timezone
from django_q.models import OrmQ
from prometheus_client.openmetrics import parser as openmetrics
from prometheus_client.parser import text_string_to_metric_families

from remediation.engine.operations import pause
from remediation.models import Cause, Heartbeat, JobSchedule, Problem
from tests import factories, servers

pytestmark = pytest.mark.django_db


@pytest.fixture
def reader():
    return factories.make_client("read")


def samples(client):
    """Return the values of ``/metrics`` by name and labels, as Prometheus shows a series."""
    response = client.get("/metrics")
    assert response.status_code == 200
    found = {}
    for family in text_string_to_metric_families(response.content.decode()):
        for sample in family.samples:
            labels = ",".join(f'{name}="{text}"' for name, text in sorted(sample.labels.items()))
            series = f"{sample.name}{{{labels}}}" if labels else sample.name
            assert series not in found
            found[series] = sample.value
    return found


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


def test_executions_that_are_due_and_work_for_a_person_are_counted(reader):
    at = timezone.now()
    run = factories.make_run(status="running")
    ages = [(90, True), (10, True), (-60, True), (5, False)]
    for number, (age, is_remote) in enumerate(ages, start=1):
        factories.make_execution(
            run,
            attempt=number,
            due_at=at - datetime.timedelta(seconds=age),
            executed_via_stackstorm=is_remote,
        )
    factories.make_execution(run, attempt=5, status="running", asking_since=at)
    factories.make_execution(run, attempt=6, status="unknown")

    metrics = samples(reader)

    assert metrics['poundcake_due_executions{kind="stackstorm"}'] == 2
    assert 89 < metrics['poundcake_due_execution_age_seconds{kind="stackstorm"}'] < 200
    assert metrics['poundcake_due_executions{kind="local"}'] == 1
    assert metrics['poundcake_waiting_for_person{reason="inquiry"}'] == 1
    assert metrics['poundcake_waiting_for_person{reason="unknown"}'] == 1


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

    assert metrics['poundcake_wakeups{cluster="launch"}'] == 1
    assert 119 < metrics['poundcake_wakeup_age_seconds{cluster="launch"}'] < 200
    assert metrics['poundcake_wakeup_age_seconds{cluster="local"}'] == 0
    assert 119 < metrics['poundcake_heartbeat_age_seconds{heartbeat="tick"}'] < 200


def test_the_youngest_heartbeat_of_a_cluster_counts(reader):
    at = timezone.now()
    Heartbeat.record("launch@web-1-17", at=at - datetime.timedelta(hours=5))
    Heartbeat.record("launch@web-1-99", at=at)
    Heartbeat.record("launch@web-2-33", at=at)

    metrics = samples(reader)

    assert metrics['poundcake_heartbeat_age_seconds{heartbeat="launch"}'] < 60
    assert metrics['poundcake_live_clusters{cluster="launch"}'] == 2
    assert metrics['poundcake_live_clusters{cluster="follow"}'] == 0


def test_a_pause_and_an_unreachable_stackstorm_are_exported(reader):
    before = samples(reader)
    pause.pause(reason="maintenance", expires_at=None, cause=Cause())
    Problem.report("stackstorm", "refused", at=timezone.now())

    after = samples(reader)

    for name in ("poundcake_paused", "poundcake_stackstorm_unreachable"):
        assert (before[name], after[name]) == (0, 1)
    assert 'poundcake_heartbeat_age_seconds{heartbeat="stackstorm"}' not in after


def test_the_number_of_queries_is_constant(reader, django_assert_max_num_queries):
    samples(reader)
    for _ in range(5):
        factories.make_execution()

    with django_assert_max_num_queries(22):
        samples(reader)


def test_the_clock_skew_of_every_machine_is_exported(reader, monkeypatch):
    at = timezone.now()
    for name, skew in (("launch@web-1-17", 600.0), ("local@web-1-17", 599.0)):
        Heartbeat.record(name, at=at, skew_seconds=skew)
    Heartbeat.record("launch@gone-1", at=at - datetime.timedelta(hours=1), skew_seconds=9.0)
    Problem.report("clock@web-1", "wrong", at=at)
    monkeypatch.setattr("remediation.clock.skew_seconds", lambda: 0.25)

    metrics = samples(reader)

    named = {name: value for name, value in metrics.items() if "skew" in name}
    assert named == {
        f'poundcake_clock_skew_seconds{{machine="{socket.gethostname()[:30]}"}}': 0.25,
        'poundcake_clock_skew_seconds{machine="web-1"}': 600,
    }


@pytest.mark.parametrize(
    ("accept", "content_type"),
    [
        ("", "text/plain; version=0.0.4; charset=utf-8"),
        ("text/plain;version=0.0.4;q=0.5,*/*;q=0.1", "text/plain; version=0.0.4; charset=utf-8"),
        (
            # What Prometheus 2.42 sends.
            "application/openmetrics-text;version=1.0.0,"
            "application/openmetrics-text;version=0.0.1;q=0.75,"
            "text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
            "application/openmetrics-text; version=1.0.0; charset=utf-8; escaping=underscores",
        ),
    ],
)
def test_the_scraper_chooses_the_format(reader, accept, content_type):
    response = reader.get("/metrics", headers={"accept": accept})

    assert response["Content-Type"] == content_type


def test_openmetrics_is_valid(reader):
    factories.make_run(status="running")
    response = reader.get("/metrics", headers={"accept": "application/openmetrics-text"})

    families = list(openmetrics.text_string_to_metric_families(response.content.decode()))

    assert len({family.name for family in families}) == len(families) > 20


def test_promtool_finds_no_fault_in_the_metrics(reader):
    promtool = servers.find_program("promtool", package="prometheus")
    text = reader.get("/metrics").content

    done = subprocess.run([promtool, "check", "metrics"], input=text, capture_output=True)

    assert (done.returncode, done.stdout + done.stderr) == (0, b"")
