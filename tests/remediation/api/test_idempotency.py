"""Idempotency-Key: operations happen once, and repeated requests get the first response."""

from __future__ import annotations

import datetime
import json
from typing import Any

import pytest
import time_machine
from django.contrib.auth.models import User
from django.db import OperationalError
from django.test import Client

from remediation import clock, jobs
from remediation.api.serializers.operations import RETRY_FUNCTIONS
from remediation.engine.operations import pause, repeated_requests, retry
from remediation.models import ActionExecution, BucketRun, Cause, IdempotencyKey, Pause, Transition
from remediation.models.idempotency_key import KEPT
from tests import factories

pytestmark = pytest.mark.django_db


@pytest.fixture
def client() -> Client:
    return factories.make_client("operate")


def send(
    client: Client, path: str, body: Any, key: str | None = "k-1", method: str = "POST"
) -> Any:
    headers = {} if key is None else {"Idempotency-Key": key}
    return client.generic(
        method,
        f"/api/v1/{path}/",
        json.dumps(body),
        content_type="application/json",
        headers=headers,
    )


def make_rows() -> None:
    """Create bucket 1 with open run 1, ended run 2 and unknown run 3, each of its own alert."""
    bucket = factories.make_step(factories.make_bucket(pk=1)).bucket
    for pk, status in ((1, "pending"), (2, "failure"), (3, "unknown")):
        alert = factories.make_alert(pk=pk)
        run = factories.make_run(bucket, alert, pk=pk, status=status)
        factories.make_execution(run, pk=pk, status=status, due_at=None)
    factories.make_alert(pk=4)


def state() -> tuple[Any, ...]:
    """Return everything that operations change."""
    return (
        list(BucketRun.objects.order_by("pk").values("pk", "status", "stop", "number")),
        list(ActionExecution.objects.order_by("pk").values("pk", "status")),
        Transition.objects.count(),
        list(Pause.objects.order_by("pk").values("pk", "ended_at", "reason")),
    )


OPERATIONS = [
    ("POST", "runs/1/cancel", {"reason": "r"}, 200),
    ("POST", "runs/2/retry", {"from": "start"}, 201),
    ("POST", "buckets/1/run", {"alert": 4}, 201),
    ("POST", "alerts/4/retry", {}, 201),
    ("POST", "executions/3/set-outcome", {"status": "success", "reason": "r"}, 200),
    ("POST", "pause", {"reason": "r"}, 200),
    ("DELETE", "pause", {}, 200),
]


@pytest.mark.parametrize(("method", "path", "body", "status"), OPERATIONS)
def test_a_repeated_operation_returns_the_first_response(
    client: Client, method: str, path: str, body: Any, status: int
) -> None:
    make_rows()
    first = send(client, path, body, method=method)
    after = state()

    second = send(client, path, dict(reversed(body.items())), method=method)

    assert (first.status_code, second.status_code) == (status, status)
    assert second.json() == first.json()
    assert "Idempotent-Replayed" not in first
    assert second["Idempotent-Replayed"] == "true"
    assert second["X-Request-ID"] != first["X-Request-ID"]
    assert state() == after


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("runs/2/retry", {"from": "failed"}),
        ("runs/1/retry", {"from": "start"}),
        ("pause", {"reason": "r"}),
    ],
)
def test_a_key_of_another_request_is_refused(client: Client, path: str, body: Any) -> None:
    make_rows()
    send(client, "runs/2/retry", {"from": "start"})
    after = state()

    response = send(client, path, body)

    assert response.status_code == 422
    assert response.json()["error"]["code"] == "idempotency_key_reused"
    assert "Use a new key" in response.json()["error"]["message"]
    assert state() == after


def test_callers_do_not_share_keys(client: Client) -> None:
    make_rows()
    session = Client()
    session.force_login(User.objects.create_superuser("ada"))

    answers = [
        send(caller, "pause", {"reason": f"{number}"})
        for number, caller in enumerate((client, factories.make_client("operate"), session))
    ]

    assert [answer.status_code for answer in answers] == [200, 200, 200]
    assert [answer.json()["reason"] for answer in answers] == ["0", "1", "2"]
    assert len(set(IdempotencyKey.objects.values_list("caller", flat=True))) == 3


def test_a_conflict_is_repeated_too(client: Client) -> None:
    make_rows()
    first = send(client, "runs/1/retry", {"from": "start"})
    BucketRun.objects.filter(pk=1).update(status="failure")

    second = send(client, "runs/1/retry", {"from": "start"})

    assert (first.status_code, second.status_code) == (409, 409)
    assert second.json() == first.json()
    assert second["Idempotent-Replayed"] == "true"
    assert send(client, "runs/1/retry", {"from": "start"}, key="k-2").status_code == 201


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [("runs/1/cancel", {}, 400), ("runs/9/cancel", {"reason": "r"}, 404)],
)
def test_a_request_that_is_refused_before_the_operation_does_not_use_the_key(
    client: Client, path: str, body: Any, status: int
) -> None:
    make_rows()

    assert send(client, path, body).status_code == status
    assert send(client, "runs/1/cancel", {"reason": "r"}).status_code == 200


@pytest.mark.parametrize("error", [OperationalError("gone"), RuntimeError("oops")])
def test_a_failed_operation_leaves_neither_its_effect_nor_the_key(
    client: Client, error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_rows()
    before = state()
    client.raise_request_exception = False

    def fail(*args: Any, **kwargs: Any) -> None:
        retry_from_start(*args, **kwargs)
        raise error

    retry_from_start = retry.retry_from_start
    with monkeypatch.context() as patch:
        patch.setitem(RETRY_FUNCTIONS, "start", fail)
        failed = send(client, "runs/2/retry", {"from": "start"})

    assert failed.status_code in (500, 503)
    assert state() == before
    assert not IdempotencyKey.objects.exists()
    assert send(client, "runs/2/retry", {"from": "start"}).status_code == 201


def test_a_request_that_is_still_running_is_a_conflict_with_retry_after(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_rows()

    def wait(_request: Any) -> None:
        raise OperationalError(1205, "Lock wait timeout exceeded")

    monkeypatch.setattr(repeated_requests, "_first_answer", wait)
    response = send(client, "runs/2/retry", {"from": "start"})

    assert response.status_code == 409
    assert response["Retry-After"] == "1"
    assert "still running" in response.json()["error"]["message"]


@pytest.mark.parametrize("key", ["", "with space", "x" * 256, "ä", "tab\t"])
def test_an_invalid_key_is_refused(client: Client, key: str) -> None:
    make_rows()
    before = state()

    response = send(client, "runs/2/retry", {"from": "start"}, key=key)

    assert response.status_code == 400
    assert list(response.json()["error"]["fields"]) == ["Idempotency-Key"]
    assert state() == before


def test_a_quoted_key_is_the_same_key(client: Client) -> None:
    make_rows()
    send(client, "pause", {"reason": "r"}, key="k" * 255)

    response = send(client, "pause", {"reason": "r"}, key=f'"{"k" * 255}"')

    assert response["Idempotent-Replayed"] == "true"


def test_without_a_key_nothing_is_kept(client: Client) -> None:
    make_rows()

    send(client, "runs/2/retry", {"from": "start"}, key=None)

    assert not IdempotencyKey.objects.exists()
    assert send(client, "runs/2/retry", {"from": "start"}, key=None).status_code == 409


def test_keys_are_kept_for_a_day(client: Client) -> None:
    at = clock.now()
    with time_machine.travel(at, tick=False):
        send(client, "pause", {"reason": "r"})
        send(client, "pause", {"reason": "r"}, key="k-2")
    with time_machine.travel(at + KEPT - datetime.timedelta(seconds=1), tick=False):
        jobs.prune()
        assert send(client, "pause", {"reason": "r"}).has_header("Idempotent-Replayed")
    with time_machine.travel(at + KEPT + datetime.timedelta(seconds=1), tick=False):
        again = send(client, "pause", {"reason": "r"})
        assert not again.has_header("Idempotent-Replayed")
        jobs.prune()
    assert list(IdempotencyKey.objects.values_list("key", flat=True)) == ["k-1"]


def test_a_large_answer_is_repeated_without_its_body(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(repeated_requests, "BODY_LENGTH_MAX", 10)
    send(client, "pause", {"reason": "r"})

    response = send(client, "pause", {"reason": "r"})

    assert (response.status_code, response.content) == (200, b"")
    assert response["Idempotent-Replayed"] == "true"


def test_a_resume_by_key_does_not_end_a_later_pause(client: Client) -> None:
    pause.pause(reason="first", expires_at=None, cause=Cause())
    send(client, "pause", {}, method="DELETE")
    pause.pause(reason="second", expires_at=None, cause=Cause())

    send(client, "pause", {}, method="DELETE")

    assert Pause.current(at=clock.now()) is not None
