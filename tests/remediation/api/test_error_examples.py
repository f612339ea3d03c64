"""The examples of errors in the OpenAPI schema are those that requests receive."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from django.db import OperationalError
from django.test import Client

from remediation.api.error_examples import EXAMPLES, example
from tests import factories

pytestmark = pytest.mark.django_db


def send(scope: str, method: str, path: str, body: Any = None, **headers: str) -> Any:
    client = factories.make_client(scope) if scope else Client()
    data = body if isinstance(body, str) else json.dumps(body)
    content_type = headers.pop("content_type", "application/json")
    return client.generic(
        method,
        f"/api/v1/{path}",
        data,
        content_type=content_type,
        headers={name.replace("_", "-"): value for name, value in headers.items()},
    )


def make_rows() -> None:
    action = factories.make_action(pk=4, name="restart_nginx")
    bucket = factories.make_step(factories.make_bucket(pk=3, name="nginx_down"), action).bucket
    run = factories.make_run(bucket, factories.make_alert(pk=12), pk=7)
    factories.make_execution(run)


def unavailable(monkeypatch: pytest.MonkeyPatch) -> Any:
    def fail(*_args: Any, **_kwargs: Any) -> None:
        raise OperationalError("gone")

    monkeypatch.setattr("remediation.engine.operations.explanation.explain", fail)
    return send("read", "GET", "alerts/12/explanation/")


def forbidden(_monkeypatch: pytest.MonkeyPatch) -> Any:
    _, text = factories.make_token(["webhook"], name="alertmanager")
    return Client(headers={"Authorization": f"Bearer {text}"}).get("/api/v1/runs/")


def changed(_monkeypatch: pytest.MonkeyPatch) -> Any:
    return send("edit", "PATCH", "buckets/3/", {"priority": 5}, If_Match='"outdated"')


def reused(_monkeypatch: pytest.MonkeyPatch) -> Any:
    _, text = factories.make_token(["operate"])
    client = Client(headers={"Authorization": f"Bearer {text}", "Idempotency-Key": "k"})
    client.post("/api/v1/pause/", {"reason": "a"}, content_type="application/json")
    return client.post("/api/v1/pause/", {"reason": "b"}, content_type="application/json")


REQUESTS: dict[tuple[int, str], Callable[[pytest.MonkeyPatch], Any]] = {
    (400, "invalid"): lambda _: send(
        "edit",
        "PATCH",
        "buckets/3/",
        {"priority": "high", "steps": [{"action_name": "restart_ngnix"}]},
    ),
    (400, "parse_error"): lambda _: send("edit", "POST", "buckets/", "{"),
    (401, "not_authenticated"): lambda _: send("", "GET", "runs/"),
    (401, "authentication_failed"): lambda _: send(
        "", "GET", "runs/", Authorization="Bearer pc_unknown"
    ),
    (403, "permission_denied"): forbidden,
    (404, "not_found"): lambda _: send("read", "GET", "runs/8/"),
    (409, "conflict"): lambda _: send("operate", "POST", "runs/7/retry/", {"from": "start"}),
    (412, "precondition_failed"): changed,
    (413, "too_large"): lambda _: send("edit", "POST", "buckets/", {"name": "x" * 2**20}),
    (415, "unsupported_media_type"): lambda _: send(
        "edit", "POST", "buckets/", "name=x", content_type="application/x-www-form-urlencoded"
    ),
    (415, "unsupported_coding"): lambda _: send(
        "edit", "POST", "buckets/", {}, Content_Encoding="br"
    ),
    (422, "idempotency_key_reused"): reused,
    (503, "unavailable"): unavailable,
    (503, "unreadable_body"): lambda _: send(
        "webhook", "POST", "webhook/", {}, Content_Encoding="br"
    ),
}


@pytest.mark.parametrize(("status", "code"), REQUESTS)
def test_an_example_is_a_real_response(
    status: int, code: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_rows()

    response = REQUESTS[status, code](monkeypatch)

    body = response.json()
    assert body.pop("request_id") == response["X-Request-ID"]
    expected = example(status, code)
    del expected["request_id"]
    if status == 412:
        expected["error"]["message"] = expected["error"]["message"].replace(
            '"5d0f0c0a6f0a8f7e3f1c9b2a4d6e8f01"', response["ETag"]
        )
    assert (response.status_code, body) == (status, expected)


def test_every_example_is_tested() -> None:
    assert set(REQUESTS) == {(status, code) for status in EXAMPLES for code in EXAMPLES[status]}
