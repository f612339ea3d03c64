"""StackStorm's webhook: a callback only triggers a poll; its content is not stored."""

from __future__ import annotations

import datetime
import json
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from remediation import queue
from remediation.models import ActionExecution
from tests import factories

pytestmark = pytest.mark.django_db

URL = "/api/v1/stackstorm/webhook"
ST2_ID = "5f9e8a7b6c5d4e3f2a1b0c9d"

SEED_BODY = {
    "execution_id": ST2_ID,
    "status": "succeeded",
    "result": {"stdout": "Service restarted successfully", "return_code": 0},
    "liveaction": {"id": "5f9e8a7b6c5d4e3f2a1b0c9e"},
}


def recorded(name: str) -> dict[str, Any]:
    path = Path(f"tests/contracts/stackstorm/callback-from-rule-{name}.json")
    body: dict[str, Any] = json.loads(path.read_text())["request"]["body"]
    return body


def post(client: Client, body: Any, url: str = URL) -> Any:
    data = body if isinstance(body, str | bytes) else json.dumps(body)
    return client.post(url, data, content_type="application/json")


def make_running(**columns: Any) -> ActionExecution:
    later = timezone.now() + datetime.timedelta(hours=1)
    defaults: dict[str, Any] = {"status": "running", "st2_execution_id": ST2_ID, "due_at": later}
    return factories.make_execution(**defaults | columns)


@pytest.fixture
def stackstorm() -> Client:
    return factories.make_client("stackstorm")


@pytest.mark.parametrize("url", [URL, URL + "/"])
def test_the_body_of_the_seed_triggers_a_poll_and_settles_nothing(
    stackstorm: Client, url: str
) -> None:
    execution = make_running()

    response = post(stackstorm, SEED_BODY, url)

    execution.refresh_from_db()
    assert response.status_code == 200
    assert response.json() == {"request_id": response["X-Request-ID"], "status": "accepted"}
    assert execution.due_at is not None
    assert execution.due_at <= timezone.now()
    assert queue.due_wake_ups()[queue.FOLLOW].count
    assert (execution.status, execution.st2_result) == ("running", None)
    assert execution.st2_liveaction_id is None


def test_an_actiontrigger_body_is_accepted(stackstorm: Client) -> None:
    body = recorded("action")
    make_running(st2_execution_id=body["execution_id"])

    response = post(stackstorm, body)

    assert response.json()["status"] == "accepted"


def test_a_notifytrigger_body_is_found_by_trace_tag(stackstorm: Client) -> None:
    body = recorded("notify")
    execution = make_running(st2_execution_id="not-known-under-the-other-id")
    body["data"]["trace_tag"] = execution.trace_tag

    response = post(stackstorm, body)

    assert response.json()["status"] == "accepted"


@pytest.mark.parametrize("missing", [None, ""])
def test_null_and_an_empty_text_are_no_id(stackstorm: Client, missing: str | None) -> None:
    execution = make_running()
    data = {"trace_tag": execution.trace_tag}

    response = post(stackstorm, {"execution_id": missing, "data": data})

    assert response.json()["status"] == "accepted"


@pytest.mark.parametrize("status", ["succeeded", "future-status", None, 7, {"a": []}])
@pytest.mark.parametrize("result", [None, [], "text", 2.5, {"stdout": {"deep": [None]}}])
def test_any_status_and_result_trigger_a_poll(stackstorm: Client, status: Any, result: Any) -> None:
    make_running()

    response = post(stackstorm, {"execution_id": ST2_ID, "status": status, "result": result})

    assert response.json()["status"] == "accepted"


def test_an_ended_execution_is_unchanged(stackstorm: Client) -> None:
    make_running(status="success", due_at=None)

    response = post(stackstorm, SEED_BODY | {"status": "failed"})

    assert response.json()["status"] == "unchanged"
    assert ActionExecution.objects.get().status == "success"


def test_an_unknown_execution_is_ignored(stackstorm: Client) -> None:
    response = post(stackstorm, SEED_BODY)

    assert (response.status_code, response.json()["status"]) == (200, "ignored")


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "execution_id"),
        ({"execution_id": ""}, "execution_id"),
        ({"execution_id": 7}, "execution_id"),
        ({"execution_id": ["x"]}, "execution_id"),
        ({"execution_id": "\ud800"}, "execution_id"),
        ({"execution_id": "x" * 101}, "execution_id"),
        ({"data": {"trace_tag": 7}}, "data.trace_tag"),
        ({"data": {"callback": "abc"}}, "execution_id"),
    ],
)
def test_a_body_without_an_id_is_rejected_by_field(
    stackstorm: Client, body: dict[str, Any], field: str
) -> None:
    response = post(stackstorm, body)

    assert response.status_code == 400
    assert list(response.json()["error"]["fields"]) == [field]


@pytest.mark.parametrize("body", ["", "{", "[]", "null", '"x"', b"\xff", "[" * 100_000])
def test_a_body_that_is_not_an_object_is_rejected(stackstorm: Client, body: str | bytes) -> None:
    response = post(stackstorm, body)

    assert response.status_code == 400
    assert response.json()["error"]["code"] == "parse_error"
