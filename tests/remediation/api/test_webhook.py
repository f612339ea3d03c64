"""Alertmanager's webhook: recorded bodies, the call of seed.md, and invalid bodies."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import pytest
from django.db import DataError, IntegrityError, OperationalError, connection
from django.test import Client

from remediation.models import ActionExecution, Alert, ApiToken, BucketRun, Transition
from tests import factories

pytestmark = pytest.mark.django_db

RECORDINGS = sorted(Path("tests/contracts/alertmanager").glob("*.json"))
URL = "/api/v1/webhook"

# From seed.md: curl -X POST /api/v1/webhook -d '...'
SEED_BODY = """{
  "alerts": [{
    "labels": {"alertname": "HostDown", "instance": "server-01:9100"},
    "status": "firing"
  }]
}"""


def post(client: Client, body: Any, url: str = URL, **extra: Any) -> Any:
    data = body if isinstance(body, str | bytes) else json.dumps(body)
    return client.post(url, data, content_type="application/json", **extra)


@pytest.fixture
def sender() -> Client:
    return factories.make_client("webhook")


@pytest.mark.parametrize("path", RECORDINGS, ids=lambda path: path.stem)
def test_every_recording_is_accepted(sender: Client, path: Path) -> None:
    body = json.loads(path.read_text())["body"]

    response = post(sender, body)

    assert response.status_code == 202
    assert response.json()["alerts_received"] == len(body["alerts"])
    firing = {alert["fingerprint"] for alert in body["alerts"] if alert["status"] == "firing"}
    assert set(Alert.objects.values_list("fingerprint", flat=True)) == firing


def test_there_are_14_recordings() -> None:
    assert len(RECORDINGS) == 14


def test_each_alert_of_a_group_has_its_own_status(sender: Client) -> None:
    path = Path("tests/contracts/alertmanager/grouped-01-firing.json")
    body = json.loads(path.read_text())["body"]
    post(sender, body)
    body["alerts"][1] |= {"status": "resolved", "endsAt": "2026-11-23T05:47:00Z"}

    response = post(sender, body)

    assert body["status"] == "firing"
    dispositions = [alert["disposition"] for alert in response.json()["alerts"]]
    assert dispositions == ["repeated", "resolved", "repeated"]


def test_truncated_alerts_are_a_warning(sender: Client, caplog: pytest.LogCaptureFixture) -> None:
    body = json.loads(Path("tests/contracts/alertmanager/trunc-01-firing.json").read_text())["body"]

    with caplog.at_level(logging.WARNING, "remediation.api.webhook"):
        response = post(sender, body).json()

    assert response["truncated_alerts"] == 3
    assert "max_alerts" in response["warning"]
    assert response["warning"] in caplog.text


@pytest.mark.parametrize("url", [URL, URL + "/"])
def test_the_call_of_the_seed_starts_its_bucket(sender: Client, url: str) -> None:
    bucket = factories.make_step(factories.make_bucket(name="host_down_workflow")).bucket

    response = sender.post(url, SEED_BODY, content_type="application/x-www-form-urlencoded")

    run = BucketRun.objects.get()
    assert response.status_code == 202
    assert response.json() == {
        "request_id": run.request_id,
        "status": "accepted",
        "alerts_received": 1,
        "alerts": [
            {
                "fingerprint": run.alert.fingerprint,
                "alert_name": "HostDown",
                "disposition": "created",
                "buckets": [bucket.name],
                "runs": [run.pk],
                "reason": "",
            }
        ],
    }
    assert ActionExecution.objects.get().status == "pending"


def test_an_invalid_time_is_noted_in_the_receipt(sender: Client) -> None:
    response = post(sender, factories.notification_body(factories.alert_payload(startsAt="soon")))

    [receipt] = response.json()["alerts"]
    assert receipt["disposition"] == "unmatched"
    assert receipt["notes"] == [
        "startsAt is 'soon', which is not a valid time: it counts as missing"
    ]


def test_the_transition_has_the_token_and_the_request_id(sender: Client) -> None:
    response = post(sender, factories.notification_body())

    first = Transition.objects.get()
    token = ApiToken.objects.get()
    assert first.actor == token.name
    assert first.cause_request_id == response["X-Request-ID"] == response.json()["request_id"]
    assert first.data == {"receiver": "poundcake", "client": "127.0.0.1"}


@pytest.mark.parametrize("accept", ["text/html", "image/png", "application/json;version=2"])
@pytest.mark.parametrize("content_type", ["multipart/form-data", "text/plain", ""])
def test_no_header_loses_an_alert(sender: Client, accept: str, content_type: str) -> None:
    response = sender.post(
        URL + "?format=xml", SEED_BODY, content_type=content_type, headers={"Accept": accept}
    )

    assert response.status_code == 202
    assert response["Content-Type"] == "application/json"
    assert Alert.objects.count() == 1


def test_an_empty_list_of_alerts_is_accepted(sender: Client) -> None:
    response = post(sender, {"alerts": []})

    assert response.status_code == 202
    assert response.json()["status"] == "no_alerts"


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ("", "not JSON"),
        ("alerts", "line 1, column 1"),
        (b"\xff\xfe{}", "UTF-8"),
        ("[]", "a list"),
        ("null", "null"),
        ("{}", "alerts is missing"),
        ('{"alerts": {}}', "alerts is an object"),
        ("[" * 100_000, "nested too deeply"),
    ],
)
def test_a_body_without_alerts_is_rejected_with_the_reason(
    sender: Client, body: str | bytes, text: str
) -> None:
    response = post(sender, body)

    assert response.status_code == 400
    assert text in response.json()["error"]["message"]
    assert response.json()["request_id"] == response["X-Request-ID"]


@pytest.mark.parametrize(
    ("alert", "field"),
    [
        (7, "the alert is a number"),
        ({}, "labels is missing"),
        ({"labels": []}, "labels is a list"),
        ({"labels": {"alertname": [7]}}, "labels.alertname is a list"),
        ({"labels": {"alertname": "X"}, "status": "broken"}, "status is 'broken'"),
    ],
)
def test_an_invalid_alert_does_not_affect_the_others(
    sender: Client, alert: Any, field: str
) -> None:
    good = factories.alert_payload()

    response = post(sender, factories.notification_body(alert, good))

    bad_receipt, good_receipt = response.json()["alerts"]
    assert response.status_code == 202
    assert bad_receipt["disposition"] == "invalid"
    assert field in bad_receipt["reason"]
    assert good_receipt["fingerprint"] == Alert.objects.get().fingerprint


def test_33_mib_are_rejected(sender: Client) -> None:
    response = post(sender, b" " * (33 * 2**20))

    assert response.status_code == 413
    assert response.json()["error"]["code"] == "too_large"
    assert "32 MiB" in response.json()["error"]["message"]


def test_3_mib_are_accepted(sender: Client) -> None:
    body = factories.notification_body(comment=" " * (3 * 2**20))

    response = post(sender, body)

    assert response.status_code == 202


@pytest.mark.parametrize("error", [OperationalError, DataError, IntegrityError])
def test_a_database_error_is_503_so_that_the_sender_retries(
    sender: Client, error: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("remediation.engine.transaction_retries.TRIES", 1)

    def fail(execute: Any, sql: str, *arguments: Any) -> Any:
        if sql.startswith("INSERT INTO") and "alerts" in sql:
            raise error("server has gone away, password=hunter2")
        return execute(sql, *arguments)

    with connection.execute_wrapper(fail):
        response = post(sender, factories.notification_body())

    assert response.status_code == 503
    assert response.json()["error"]["code"] == "unavailable"
    assert response["Retry-After"]
    assert "hunter2" not in response.content.decode()
    assert not Alert.objects.exists()


def test_a_database_error_during_authentication_is_503(sender: Client) -> None:
    def fail(*_arguments: Any) -> Any:
        raise OperationalError("database is gone")

    with connection.execute_wrapper(fail):
        response = post(sender, factories.notification_body())

    assert response.status_code == 503


def test_get_is_405(sender: Client) -> None:
    response = sender.get(URL)

    assert response.status_code == 405
    assert response.json()["error"]["code"] == "method_not_allowed"


def test_sessions_are_rejected(admin_client: Client) -> None:
    response = post(admin_client, factories.notification_body())

    assert response.status_code == 401


def test_query_count_does_not_grow_with_the_alerts(
    sender: Client, django_assert_max_num_queries: Any
) -> None:
    factories.make_step()
    alerts = [
        factories.alert_payload(labels={"alertname": "HostDown", "instance": f"host-{number}"})
        for number in range(200)
    ]

    # SQLite inserts about 40 rows per statement.
    with django_assert_max_num_queries(50):
        response = post(sender, factories.notification_body(*alerts))

    assert response.json()["alerts_received"] == BucketRun.objects.count() == 200
