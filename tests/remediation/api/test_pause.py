"""API of the pause, and the header on other responses."""

from __future__ import annotations

import datetime
import json
from typing import Any

import pytest
from django.db import OperationalError
from django.test import Client
from django.utils import timezone

from remediation.engine.operations import pause
from remediation.models import ApiToken, Cause, Pause
from tests import factories

pytestmark = pytest.mark.django_db

URL = "/api/v1/pause/"
HEADER = "X-PoundCake-Paused"


@pytest.fixture
def client() -> Client:
    return factories.make_client("operate")


def post(client: Client, body: Any) -> Any:
    return client.post(URL, json.dumps(body), content_type="application/json")


def pause_now(reason: str = "network work") -> Pause:
    return pause.pause(reason=reason, expires_at=None, cause=Cause(actor="ann"))


def test_without_a_pause_the_state_is_empty(client: Client) -> None:
    assert client.get(URL).json() == {
        "paused": False,
        "reason": "",
        "actor": "",
        "actor_kind": "",
        "since": None,
        "expires_at": None,
        "in_flight": [],
    }


def test_a_pause_returns_the_executions_in_flight(client: Client) -> None:
    execution = factories.make_execution(status="running", started_at=timezone.now())
    factories.make_execution()

    response = post(client, {"reason": " network work ", "for_seconds": 60})

    state = response.json()
    stored = Pause.objects.get()
    assert response.status_code == 200
    assert (state["paused"], state["reason"]) == (True, "network work")
    assert state["actor"] == ApiToken.objects.get().name
    assert [row["id"] for row in state["in_flight"]] == [execution.pk]
    assert stored.expires_at == stored.created_at + datetime.timedelta(seconds=60)
    assert stored.request_id == response["X-Request-ID"]
    assert client.get(URL).json() == state


def test_a_pause_can_have_an_end(client: Client) -> None:
    until = timezone.now() + datetime.timedelta(hours=2)

    state = post(client, {"reason": "x", "expires_at": until.isoformat()}).json()

    assert datetime.datetime.fromisoformat(state["expires_at"]) == until


@pytest.mark.parametrize(
    ("body", "field", "text"),
    [
        ({}, "reason", "required"),
        ({"reason": ""}, "reason", "blank"),
        ({"reason": "x", "for_seconds": 0}, "for_seconds", "1"),
        ({"reason": "x", "for_seconds": 10**12}, "for_seconds", "less than"),
        ({"reason": "x", "expires_at": "2020-01-01T00:00:00Z"}, "expires_at", "in the past"),
        ({"reason": "x", "expires_at": "0001-01-01T00:00:00+14:00"}, "expires_at", "range"),
        ({"reason": "x", "expires_at": "tomorrow"}, "expires_at", "format"),
        (
            {"reason": "x", "for_seconds": 5, "expires_at": "2999-01-01T00:00:00Z"},
            "for_seconds",
            "for_seconds 5 contradicts expires_at",
        ),
        ({"reason": "x", "for": "5m"}, "for", "Unknown field"),
    ],
)
def test_an_invalid_pause_is_rejected_by_field(
    client: Client, body: Any, field: str, text: str
) -> None:
    response = post(client, body)

    assert response.status_code == 400
    assert text in " ".join(response.json()["error"]["fields"][field])
    assert not Pause.objects.exists()


def test_ending_the_pause_is_idempotent(client: Client) -> None:
    pause_now()

    responses = [client.delete(URL) for _ in range(2)]

    assert [(response.status_code, response.json()["paused"]) for response in responses] == [
        (200, False),
        (200, False),
    ]
    assert Pause.objects.get().ended_by == ApiToken.objects.get().name


@pytest.mark.parametrize("method", ["get", "post", "delete"])
def test_the_pause_accepts_no_parameters(client: Client, method: str) -> None:
    pause_now()

    response = getattr(client, method)(f"{URL}?force=1")

    assert list(response.json()["error"]["fields"]) == ["force"]
    assert Pause.current(at=timezone.now())


@pytest.mark.parametrize("path", ["alerts/", "alerts/1/", "nowhere/", "pause/", "schema/"])
def test_responses_to_authenticated_callers_have_the_header(client: Client, path: str) -> None:
    before = client.get(f"/api/v1/{path}")
    pause_now()

    assert HEADER not in before
    assert client.get(f"/api/v1/{path}")[HEADER] == "network work"


def test_the_response_that_ends_the_pause_has_no_header(client: Client) -> None:
    created = post(client, {"reason": "network work"})

    assert created[HEADER] == "network work"
    assert HEADER not in client.delete(URL)


def test_anonymous_and_health_responses_have_no_header() -> None:
    pause_now()

    assert HEADER not in Client().get("/api/v1/alerts/")
    assert HEADER not in Client().get("/healthz")


@pytest.mark.parametrize(
    ("reason", "header"),
    [
        ("two\r\nX-Evil: lines", "two X-Evil: lines"),
        ("Störung \x07", "St?rung ?"),
        ("x" * 300, "x" * 200),
    ],
)
def test_the_header_is_one_short_ascii_line(client: Client, reason: str, header: str) -> None:
    pause_now(reason)

    assert client.get(URL)[HEADER] == header


def test_a_database_error_omits_the_header(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(**_at: Any) -> None:
        raise OperationalError("gone")

    monkeypatch.setattr(Pause, "current", fail)

    response = client.get("/api/v1/alerts/")

    assert response.status_code == 200
    assert HEADER not in response
