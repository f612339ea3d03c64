"""The door for Alertmanager: every recording, the seed's call, and what is no notification."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import pytest
from django.db import DataError, IntegrityError, OperationalError, connection
from django.test import Client

from remediation.models import ActionExecution, Alert, BucketRun, Transition
from tests import factories

pytestmark = pytest.mark.django_db

RECORDINGS = sorted(Path("tests/contracts/alertmanager").glob("*.json"))
URL = "/api/v1/webhook"

# As it stands in the seed: curl -X POST /api/v1/webhook -d '...'
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
def test_every_recording_is_taken_whole(sender: Client, path: Path) -> None:
    body = json.loads(path.read_text())["body"]

    answer = post(sender, body)

    assert answer.status_code == 202
    assert answer.json()["alerts_received"] == len(body["alerts"])
    firing = {alert["fingerprint"] for alert in body["alerts"] if alert["status"] == "firing"}
    assert set(Alert.objects.values_list("fingerprint", flat=True)) == firing


def test_the_recordings_are_there() -> None:
    assert len(RECORDINGS) == 14


def test_each_alert_of_a_group_counts_for_itself(sender: Client) -> None:
    path = Path("tests/contracts/alertmanager/grouped-01-firing.json")
    body = json.loads(path.read_text())["body"]
    post(sender, body)
    body["alerts"][1] |= {"status": "resolved", "endsAt": "2026-11-23T05:47:00Z"}

    answer = post(sender, body)

    assert body["status"] == "firing"
    dispositions = [alert["disposition"] for alert in answer.json()["alerts"]]
    assert dispositions == ["repeated", "resolved", "repeated"]


def test_alerts_that_the_sender_left_out_are_a_warning(
    sender: Client, caplog: pytest.LogCaptureFixture
) -> None:
    body = json.loads(Path("tests/contracts/alertmanager/trunc-01-firing.json").read_text())["body"]

    with caplog.at_level(logging.WARNING, "remediation.api.webhook"):
        answer = post(sender, body).json()

    assert answer["truncated_alerts"] == 3
    assert "max_alerts" in answer["warning"]
    assert answer["warning"] in caplog.text


@pytest.mark.parametrize("url", [URL, URL + "/"])
def test_the_seeds_own_call_starts_its_bucket(sender: Client, url: str) -> None:
    bucket = factories.make_step(factories.make_bucket(name="host_down_workflow")).bucket

    answer = sender.post(url, SEED_BODY, content_type="application/x-www-form-urlencoded")

    run = BucketRun.objects.get()
    assert answer.status_code == 202
    assert answer.json() == {
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


def test_a_time_that_cannot_be_read_is_noted_in_the_receipt(sender: Client) -> None:
    answer = post(sender, factories.notification_body(factories.alert_payload(startsAt="soon")))

    [receipt] = answer.json()["alerts"]
    assert receipt["disposition"] == "unmatched"
    assert receipt["notes"] == ["startsAt is 'soon', which is no time: it counts as missing"]


def test_the_story_names_the_token_and_the_call(sender: Client) -> None:
    answer = post(sender, factories.notification_body())

    first = Transition.objects.get()
    token = factories.ApiToken.objects.get()
    assert first.actor == token.name
    assert first.cause_request_id == answer["X-Request-ID"] == answer.json()["request_id"]
    assert first.data == {"receiver": "poundcake", "client": "127.0.0.1"}


@pytest.mark.parametrize("accept", ["text/html", "image/png", "application/json;version=2"])
@pytest.mark.parametrize("content_type", ["multipart/form-data", "text/plain", ""])
def test_no_header_loses_an_alert(sender: Client, accept: str, content_type: str) -> None:
    answer = sender.post(
        URL + "?format=xml", SEED_BODY, content_type=content_type, headers={"Accept": accept}
    )

    assert answer.status_code == 202
    assert answer["Content-Type"] == "application/json"
    assert Alert.objects.count() == 1


def test_no_alerts_are_no_fault(sender: Client) -> None:
    answer = post(sender, {"alerts": []})

    assert answer.status_code == 202
    assert answer.json()["status"] == "no_alerts"


@pytest.mark.parametrize(
    ("body", "words"),
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
def test_what_holds_no_alerts_is_refused_with_the_reason(
    sender: Client, body: str | bytes, words: str
) -> None:
    answer = post(sender, body)

    assert answer.status_code == 400
    assert words in answer.json()["error"]["message"]
    assert answer.json()["request_id"] == answer["X-Request-ID"]


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
def test_a_bad_alert_is_reported_and_loses_no_other(sender: Client, alert: Any, field: str) -> None:
    good = factories.alert_payload()

    answer = post(sender, factories.notification_body(alert, good))

    bad_receipt, good_receipt = answer.json()["alerts"]
    assert answer.status_code == 202
    assert bad_receipt["disposition"] == "invalid"
    assert field in bad_receipt["reason"]
    assert good_receipt["fingerprint"] == Alert.objects.get().fingerprint


def test_33_mib_are_too_large(sender: Client) -> None:
    answer = post(sender, b" " * (33 * 2**20))

    assert answer.status_code == 413
    assert answer.json()["error"]["code"] == "too_large"
    assert "32 MiB" in answer.json()["error"]["message"]


def test_3_mib_are_taken(sender: Client) -> None:
    body = factories.notification_body(comment=" " * (3 * 2**20))

    answer = post(sender, body)

    assert answer.status_code == 202


@pytest.mark.parametrize("error", [OperationalError, DataError, IntegrityError])
def test_trouble_with_the_database_is_for_the_sender_to_repeat(
    sender: Client, error: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("remediation.engine.retries.TRIES", 1)

    def refuse(execute: Any, sql: str, *arguments: Any) -> Any:
        if sql.startswith("INSERT INTO") and "alerts" in sql:
            raise error("server has gone away, password=hunter2")
        return execute(sql, *arguments)

    with connection.execute_wrapper(refuse):
        answer = post(sender, factories.notification_body())

    assert answer.status_code == 503
    assert answer.json()["error"]["code"] == "unavailable"
    assert answer["Retry-After"]
    assert "hunter2" not in answer.content.decode()
    assert not Alert.objects.exists()


def test_credentials_that_cannot_be_looked_up_are_no_wrong_credentials(sender: Client) -> None:
    def refuse(*_arguments: Any) -> Any:
        raise OperationalError("database is gone")

    with connection.execute_wrapper(refuse):
        answer = post(sender, factories.notification_body())

    assert answer.status_code == 503


def test_reading_the_door_is_not_allowed(sender: Client) -> None:
    answer = sender.get(URL)

    assert answer.status_code == 405
    assert answer.json()["error"]["code"] == "method_not_allowed"


def test_people_do_not_come_through_the_door_for_machines(admin_client: Client) -> None:
    answer = post(admin_client, factories.notification_body())

    assert answer.status_code == 401


def test_the_statements_do_not_grow_with_the_alerts(
    sender: Client, django_assert_max_num_queries: Any
) -> None:
    factories.make_step()
    alerts = [
        factories.alert_payload(labels={"alertname": "HostDown", "instance": f"host-{number}"})
        for number in range(200)
    ]

    # SQLite takes an insert of some 40 rows at a time.
    with django_assert_max_num_queries(50):
        answer = post(sender, factories.notification_body(*alerts))

    assert answer.json()["alerts_received"] == BucketRun.objects.count() == 200
