"""The pause over the API: what it responses, and that everybody is told."""

from __future__ import annotations

import datetime
import json
from typing import Any

import pytest
from django.db import OperationalError
from django.test import Client
from django.utils import timezone

from remediation.engine.operations import pause
from remediation.models import Cause, Pause
from tests import factories

pytestmark = pytest.mark.django_db

URL = "/api/v1/pause/"
HEADER = "X-PoundCake-Paused"


@pytest.fixture
def client() -> Client:
    return factories.make_client("operate")


def post(client: Client, body: Any) -> Any:
    return client.post(URL, json.dumps(body), content_type="application/json")


def hold(reason: str = "network work") -> Pause:
    return pause.pause(reason=reason, expires_at=None, cause=Cause(actor="ann"))


def test_without_a_pause_the_state_is_empty(client: Client) -> None:
    assert client.get(URL).json() == {
        "paused": False,
        "reason": "",
        "actor": "",
        "since": None,
        "expires_at": None,
        "in_flight": [],
    }


def test_a_pause_is_made_and_tells_what_is_in_flight(client: Client) -> None:
    execution = factories.make_execution(status="running", started_at=timezone.now())
    factories.make_execution()

    response = post(client, {"reason": " network work ", "for_seconds": 60})

    state = response.json()
    held = Pause.objects.get()
    assert response.status_code == 200
    assert (state["paused"], state["reason"]) == (True, "network work")
    assert state["actor"] == factories.ApiToken.objects.get().name
    assert [row["id"] for row in state["in_flight"]] == [execution.pk]
    assert held.expires_at == held.created_at + datetime.timedelta(seconds=60)
    assert held.request_id == response["X-Request-ID"]
    assert client.get(URL).json() == state


def test_a_pause_may_have_a_time_to_end_at(client: Client) -> None:
    until = timezone.now() + datetime.timedelta(hours=2)

    state = post(client, {"reason": "x", "expires_at": until.isoformat()}).json()

    assert datetime.datetime.fromisoformat(state["expires_at"]) == until


@pytest.mark.parametrize(
    ("body", "field", "words"),
    [
        ({}, "reason", "required"),
        ({"reason": ""}, "reason", "blank"),
        ({"reason": "x", "for_seconds": 0}, "for_seconds", "1"),
        ({"reason": "x", "for_seconds": 10**12}, "for_seconds", "less than"),
        ({"reason": "x", "expires_at": "2020-01-01T00:00:00Z"}, "expires_at", "over"),
        ({"reason": "x", "expires_at": "0001-01-01T00:00:00+14:00"}, "expires_at", "range"),
        ({"reason": "x", "expires_at": "tomorrow"}, "expires_at", "format"),
        (
            {"reason": "x", "for_seconds": 5, "expires_at": "2999-01-01T00:00:00Z"},
            "for_seconds",
            "not both",
        ),
        ({"reason": "x", "for": "5m"}, "for", "Unknown field"),
    ],
)
def test_a_pause_that_cannot_be_read_is_refused_by_field(
    client: Client, body: Any, field: str, words: str
) -> None:
    response = post(client, body)

    assert response.status_code == 400
    assert words in " ".join(response.json()["error"]["fields"][field])
    assert not Pause.objects.exists()


def test_the_pause_ends_and_may_be_ended_again(client: Client) -> None:
    hold()

    responses = [client.delete(URL) for _ in range(2)]

    assert [(response.status_code, response.json()["paused"]) for response in responses] == [
        (200, False),
        (200, False),
    ]
    assert Pause.objects.get().ended_by == factories.ApiToken.objects.get().name


@pytest.mark.parametrize("method", ["get", "post", "delete"])
def test_the_pause_takes_no_parameters(client: Client, method: str) -> None:
    hold()

    response = getattr(client, method)(f"{URL}?force=1")

    assert list(response.json()["error"]["fields"]) == ["force"]
    assert Pause.current(at=timezone.now())


@pytest.mark.parametrize("path", ["alerts/", "alerts/1/", "nowhere/", "pause/", "schema/"])
def test_every_answer_to_a_known_caller_tells_of_the_pause(client: Client, path: str) -> None:
    before = client.get(f"/api/v1/{path}")
    hold()

    assert HEADER not in before
    assert client.get(f"/api/v1/{path}")[HEADER] == "network work"


def test_the_answer_that_ends_the_pause_does_not_tell_of_it(client: Client) -> None:
    made = post(client, {"reason": "network work"})

    assert made[HEADER] == "network work"
    assert HEADER not in client.delete(URL)


def test_strangers_and_health_are_not_told() -> None:
    hold()

    assert HEADER not in Client().get("/api/v1/alerts/")
    assert HEADER not in Client().get("/healthz")


@pytest.mark.parametrize(
    ("reason", "told"),
    [
        ("two\r\nX-Evil: lines", "two X-Evil: lines"),
        ("Störung \x07", "St?rung ?"),
        ("x" * 300, "x" * 200),
    ],
)
def test_whatever_the_reason_the_header_is_one_short_line(
    client: Client, reason: str, told: str
) -> None:
    hold(reason)

    assert client.get(URL)[HEADER] == told


def test_a_database_that_fails_takes_no_answer_away(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(**_at: Any) -> None:
        raise OperationalError("gone")

    monkeypatch.setattr(Pause, "current", refuse)

    response = client.get("/api/v1/alerts/")

    assert response.status_code == 200
    assert HEADER not in response
