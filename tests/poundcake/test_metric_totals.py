"""Counters and histograms of ``/metrics``: their names, labels and limits."""

import pytest
from django.db import Error, IntegrityError, connection, transaction
from prometheus_client.parser import text_string_to_metric_families

from poundcake.metrics import totals
from remediation import process_counts
from remediation.engine.stackstorm_client import _count_request
from remediation.engine.totals import flush
from remediation.models import Bucket, MetricTotal
from tests import factories
from tests.poundcake.test_metrics import samples

pytestmark = pytest.mark.django_db


@pytest.fixture
def reader():
    process_counts.take()
    yield factories.make_client("read")
    process_counts.take()


def add(name, amount=1.0, **labels):
    MetricTotal.add({(name, tuple(sorted(labels.items()))): amount})


def runs(metrics):
    """Return the ended runs by bucket and outcome, without zeros."""
    name = "poundcake_runs_ended_total"
    return {
        series.removeprefix(name): value
        for series, value in metrics.items()
        if series.startswith(name) and value
    }


def test_buckets_and_actions_are_shown_by_name(reader):
    step = factories.make_step()
    bucket, action = str(step.bucket_id), str(step.action_id)
    add("poundcake_runs_ended_total", 3, bucket=bucket, outcome="failure")
    add("poundcake_executions_ended_total", 5, bucket=bucket, action=action, outcome="success")

    metrics = samples(reader)

    labels = f'action="{step.action.name}",bucket="{step.bucket.name}",outcome="success"'
    assert metrics[f"poundcake_executions_ended_total{{{labels}}}"] == 5
    assert runs(metrics) == {f'{{bucket="{step.bucket.name}",outcome="failure"}}': 3}


def test_a_new_name_moves_the_total_and_a_deleted_bucket_ends_its_series(reader):
    kept, deleted = factories.make_bucket(), factories.make_bucket()
    for bucket in (kept, deleted):
        add("poundcake_runs_ended_total", bucket=str(bucket.pk), outcome="success")
    Bucket.objects.filter(pk=kept.pk).update(name="renamed")
    deleted.delete()

    assert runs(samples(reader)) == {'{bucket="renamed",outcome="success"}': 1}


@pytest.mark.parametrize("name", ['a"b\\c\nd', "other", "x" * 200, "}{ 1\n# HELP x", "日本"])
def test_any_name_is_one_label(reader, name):
    bucket = factories.make_bucket(name=name)
    add("poundcake_runs_ended_total", 7, bucket=str(bucket.pk), outcome="success")

    text = reader.get("/metrics").content.decode()

    families = {family.name: family for family in text_string_to_metric_families(text)}
    shown = {
        sample.labels["bucket"]: sample.value
        for sample in families["poundcake_runs_ended"].samples
        if sample.labels["outcome"] == "success"
    }
    assert shown == {name: 7}


def test_many_buckets_and_actions_are_counted_together(reader, monkeypatch):
    monkeypatch.setattr(totals, "BUCKETS_MAX", 2)
    monkeypatch.setattr(totals, "PAIRS_MAX", 3)
    buckets = [factories.make_bucket(name=f"b{number}") for number in range(4)]
    actions = [factories.make_action(name=f"a{number}") for number in range(3)]
    for bucket in reversed(buckets):
        add("poundcake_runs_ended_total", bucket=str(bucket.pk), outcome="success")
        for action in actions:
            add(
                "poundcake_executions_ended_total",
                bucket=str(bucket.pk),
                action=str(action.pk),
                outcome="success",
            )

    metrics = samples(reader)

    # The first that were counted keep their names, so a series never moves to or from "other".
    assert runs(metrics) == {
        '{bucket="b3",outcome="success"}': 1,
        '{bucket="b2",outcome="success"}': 1,
        '{bucket="other",outcome="success"}': 2,
    }
    executions = {
        series: value for series, value in metrics.items() if "executions_ended" in series and value
    }
    assert sum(executions.values()) == 12
    assert len(executions) == 4
    key = 'poundcake_executions_ended_total{action="other",bucket="other",outcome="success"}'
    assert executions[key] == 9


def test_histograms_are_cumulative(reader):
    bucket = str(factories.make_bucket(name="b").pk)
    name = "poundcake_time_to_remediate_seconds"
    add(f"{name}_bucket", 2, bucket=bucket, le="5.0")
    add(f"{name}_bucket", 1, bucket=bucket, le="+Inf")
    add(f"{name}_sum", 20_007.5, bucket=bucket)

    metrics = samples(reader)

    assert metrics[f'{name}_bucket{{bucket="b",le="1.0"}}'] == 0
    assert metrics[f'{name}_bucket{{bucket="b",le="5.0"}}'] == 2
    assert metrics[f'{name}_bucket{{bucket="b",le="14400.0"}}'] == 2
    assert metrics[f'{name}_bucket{{bucket="b",le="+Inf"}}'] == 3
    assert metrics[f'{name}_count{{bucket="b"}}'] == 3
    assert metrics[f'{name}_sum{{bucket="b"}}'] == 20_007.5


def test_series_exist_before_their_first_event(reader):
    bucket = factories.make_bucket(name="b")
    factories.make_step(bucket, action=factories.make_action(name="a"))

    metrics = samples(reader)

    for series in (
        'poundcake_alerts_received_total{disposition="repeated"}',
        'poundcake_database_errors_total{kind="connection"}',
        'poundcake_runs_ended_total{bucket="b",outcome="failure"}',
        'poundcake_runs_created_total{bucket="b",trigger="manual"}',
        'poundcake_executions_ended_total{action="a",bucket="b",outcome="timeout"}',
        'poundcake_time_to_remediate_seconds_bucket{bucket="b",le="1.0"}',
        'poundcake_api_requests_total{code="503",endpoint="webhook"}',
        'poundcake_stackstorm_request_duration_seconds_count{method="POST"}',
        "poundcake_alerts_truncated_total",
        "poundcake_intake_transactions_total",
        "poundcake_unrecorded_calls_total",
        "poundcake_alert_to_first_call_seconds_count",
    ):
        assert metrics[series] == 0


def test_requests_and_alerts_are_counted(reader):
    sender = factories.make_client("webhook")
    body = factories.notification_body(
        factories.alert_payload(), factories.alert_payload(), truncatedAlerts=4
    )
    url = "/api/v1/webhook/"
    assert sender.post(url, body, content_type="application/json").status_code == 202
    assert sender.post(url, "{", content_type="application/json").status_code == 400
    assert reader.get("/api/v1/runs").status_code == 200
    assert reader.post("/api/v1/stackstorm/webhook").status_code == 403
    flush.flush()

    metrics = samples(reader)

    assert metrics['poundcake_api_requests_total{code="202",endpoint="webhook"}'] == 1
    assert metrics['poundcake_api_requests_total{code="400",endpoint="webhook"}'] == 1
    assert metrics['poundcake_api_requests_total{code="200",endpoint="other"}'] == 1
    assert metrics['poundcake_api_requests_total{code="403",endpoint="callback"}'] == 1
    assert metrics['poundcake_api_request_duration_seconds_count{endpoint="webhook"}'] == 2
    assert metrics['poundcake_alerts_received_total{disposition="unmatched"}'] == 1
    assert metrics['poundcake_alerts_received_total{disposition="repeated"}'] == 1
    assert metrics["poundcake_intake_transactions_total"] == 1
    assert metrics["poundcake_alerts_truncated_total"] == 4


def test_only_real_statuses_of_stackstorm_become_labels(reader):
    for status in (201, 201, 503, None, 777, 999):
        _count_request("POST", status, 0.2)
    flush.flush()

    metrics = samples(reader)

    name = "poundcake_stackstorm_requests_total"
    counted = {
        code: metrics[f'{name}{{code="{code}",method="POST"}}']
        for code in ("201", "503", "none", "other")
    }
    assert counted == {"201": 2, "503": 1, "none": 1, "other": 2}
    assert metrics['poundcake_stackstorm_request_duration_seconds_count{method="POST"}'] == 6


def test_database_errors_are_counted_by_kind(reader):
    bucket = factories.make_bucket()
    with pytest.raises(Error), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT * FROM no_such_table")
    with pytest.raises(IntegrityError), transaction.atomic():
        Bucket.objects.filter(pk=bucket.pk).update(trigger_on="sometimes")
    with pytest.raises(IntegrityError), transaction.atomic():
        factories.make_bucket(name=bucket.name)
    flush.flush()

    metrics = samples(reader)

    kinds = {"conflict": 1, "connection": 0, "constraint": 1, "other": 1}
    assert {
        kind: metrics[f'poundcake_database_errors_total{{kind="{kind}"}}'] for kind in kinds
    } == kinds
