"""API of the recorded calls and stories."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from tests.audit.test_stories import make_call, make_transition
from tests.factories import make_alert, make_execution, make_run, make_token

pytestmark = pytest.mark.django_db

REQUESTS = "/api/v1/requests/"


@pytest.fixture
def reader(client: Client) -> Client:
    _, text = make_token(["read"])
    return Client(headers={"Authorization": f"Bearer {text}"})


def request_ids(response: Any) -> list[str]:
    return [row["request_id"] for row in response.json()["results"]]


def test_reading_requires_the_scope_read(client):
    _, text = make_token(["webhook"])

    assert client.get(REQUESTS).status_code == 401
    assert client.get(f"{REQUESTS}req-a/").status_code == 401
    headers = {"Authorization": f"Bearer {text}"}
    assert client.get(REQUESTS, headers=headers).status_code == 403
    assert client.get(f"{REQUESTS}req-a/", headers=headers).status_code == 403


@pytest.mark.parametrize("method", ["post", "put", "patch", "delete"])
def test_recorded_calls_are_read_only(reader, method):
    make_call("req-a")

    for url in (REQUESTS, f"{REQUESTS}req-a/"):
        assert getattr(reader, method)(url).status_code == 405


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", ["req-b", "req-a"]),
        ("?method=GET", ["req-b"]),
        ("?path=/api/v1/webhook", ["req-a"]),
        ("?status_code=404", ["req-b"]),
        ("?actor=alertmanager", ["req-a"]),
        ("?client_request_id=client-1", ["req-b"]),
        ("?created_since=2026-01-01T00:00:00Z&created_before=2026-02-01T00:00:00Z", ["req-a"]),
        ("?page_size=1", ["req-b"]),
    ],
)
def test_lists_can_be_filtered(reader, query, expected):
    make_call("req-a", actor="alertmanager", created_at="2026-01-15T00:00:00Z")
    make_call(
        "req-b", method="GET", path="/api/v1/runs/9/", status_code=404, client_request_id="client-1"
    )

    assert request_ids(reader.get(f"{REQUESTS}{query}")) == expected


@pytest.mark.parametrize(
    ("path", "field"),
    [
        ("?colour=red", "colour"),
        ("?status_code=many", "status_code"),
        ("?created_since=yesterday", "created_since"),
        ("req-a/?method=GET", "method"),
    ],
)
def test_invalid_parameters_are_rejected_by_name(reader, path, field):
    make_call("req-a")

    response = reader.get(f"{REQUESTS}{path}")

    assert response.status_code == 400
    assert field in response.json()["error"]["fields"]


def test_lists_omit_bodies(reader):
    make_call("req-a", body={"a": 1})

    [row] = reader.get(REQUESTS).json()["results"]

    assert not {"body", "response_body", "headers"} & row.keys()


def test_a_story_includes_call_runs_tasks_and_transitions(reader):
    alert = make_alert(request_id="req-a")
    run = make_run(alert=alert, status="failure")
    workflow = make_execution(run, step_order=0, status="failure", parameters={"node": "w-11"})
    make_execution(run, step_order=1, parent=workflow, name="cordon", st2_result={"ok": True})
    make_transition(alert, "firing", cause="req-a")
    make_call("req-a", body={"alerts": []}, client_request_id="client-1")

    response = reader.get(f"{REQUESTS}req-a/")

    story = response.json()
    assert response.status_code == 200
    assert story["request_id"] == "req-a"
    assert story["call"]["body"] == {"alerts": []}
    [shown_run] = story["alerts"][0]["runs"]
    [execution] = shown_run["executions"]
    assert (shown_run["bucket"], shown_run["status"]) == (run.bucket.name, "failure")
    assert execution["parameters"] == {"node": "w-11"}
    assert execution["tasks"][0]["result"] == {"ok": True}
    assert story["transitions"][0]["to_status"] == "firing"
    assert story["is_cut"] is False


def test_a_story_exists_without_a_recorded_call(reader):
    make_alert(request_id="seed.abc-123")

    story = reader.get(f"{REQUESTS}seed.abc-123/").json()

    assert story["call"] is None
    assert len(story["alerts"]) == 1


def test_an_unknown_id_is_404(reader):
    response = reader.get(f"{REQUESTS}req-none/")

    assert response.status_code == 404
    assert response.json()["error"]["code"] == "not_found"
    assert "req-none" in response.json()["error"]["message"]


def test_reading_a_story_is_recorded(reader):
    response = reader.get(f"{REQUESTS}req-none/")

    assert response["X-Request-ID"] in request_ids(reader.get(REQUESTS))
