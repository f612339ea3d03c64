"""The webhooks respond, log and record the same with and without the short chain."""

from __future__ import annotations

import base64
import gzip
import json
import logging
import re
from collections.abc import Callable
from typing import Any

import pytest
from django.conf import settings
from django.db import OperationalError, connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from audit import middleware
from audit.models import ApiCall
from audit.record_budget import RecordBudget
from remediation.api import webhook
from remediation.models import Alert, ApiToken, Pause, token
from tests.factories import make_client, make_token

pytestmark = pytest.mark.django_db

URL = "/api/v1/webhook"
CALLBACK = "/api/v1/stackstorm/webhook"
SHORT_CHAIN = "remediation.api.short_chain.ShortChainMiddleware"
ALERT = {
    "status": "firing",
    "labels": {"alertname": "HostDown", "instance": "NAME", "db_password": "hunter22"},
    "annotations": {"summary": "a\u2028b \u00e9"},
}
BODY = json.dumps({"receiver": "r", "alerts": [ALERT]}).encode()
HTTPS = {"SECURE_SSL_REDIRECT": True, "SECURE_HSTS_SECONDS": 3600}


@pytest.fixture(autouse=True)
def unused_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    """Record every call without credentials."""
    monkeypatch.setattr(middleware, "unknown_callers", RecordBudget())


def case(name: str, body: bytes = BODY, **fields: Any) -> Any:
    return pytest.param(body, fields, id=name)


CASES = [
    case("valid"),
    case("slash", url=URL + "/"),
    case("two slashes", url=URL + "//"),
    case("query", url=URL + "?a=1&token=x"),
    case("request id", HTTP_X_REQUEST_ID="mine"),
    case("form", content_type="application/x-www-form-urlencoded"),
    case("no content type", content_type=""),
    case("gzip", compress=True, HTTP_CONTENT_ENCODING="gzip"),
    case("corrupt gzip", b"\x1f\x8bxx", HTTP_CONTENT_ENCODING="gzip"),
    case("unknown coding", HTTP_CONTENT_ENCODING="br"),
    case("chunked", HTTP_TRANSFER_ENCODING="chunked"),
    case("empty", b""),
    case("no JSON", b"{"),
    case("no UTF-8", b"\xff"),
    case("no object", b"[]"),
    case("no alerts", b'{"alerts": []}'),
    case("truncated", b'{"alerts": [], "truncatedAlerts": 2}'),
    case("invalid alert", b'{"alerts": [7, {"labels": {"alertname": "A", "instance": "NAME"}}]}'),
    case("infinite number", b'{"alerts": [], "x": 1e999, "y": NaN}'),
    case("surrogate", b'{"alerts": [{"labels": {"alertname": "\\ud800", "i": "NAME"}}]}'),
    case("too large", settings={"DATA_UPLOAD_MAX_MEMORY_SIZE": 10}),
    case("wrong host", HTTP_HOST="elsewhere"),
    case("wrong host and token", HTTP_HOST="elsewhere", HTTP_AUTHORIZATION="Bearer pc_x"),
    case("no TLS", settings=HTTPS),
    case("TLS", settings=HTTPS, secure=True),
    case("no header", HTTP_AUTHORIZATION=""),
    case("blank header", HTTP_AUTHORIZATION="  "),
    case("unknown token", HTTP_AUTHORIZATION="Bearer pc_x"),
    case("invalid header", HTTP_AUTHORIZATION="Basic *"),
    case("unknown scheme", HTTP_AUTHORIZATION="Digest x"),
    case("cookie", HTTP_COOKIE="sessionid=x"),
    *(case(method, method=method) for method in ("GET", "HEAD", "OPTIONS", "PUT", "DELETE")),
    case("callback", b'{"execution_id": "abc"}', url=CALLBACK),
    case("callback without JSON", b"{", url=CALLBACK),
    case("callback without id", b"{}", url=CALLBACK),
    case("callback with a wrong host", b"{}", url=CALLBACK, HTTP_HOST="elsewhere"),
]

Changes = Callable[[ApiToken], Any]
CHANGES: dict[str, Changes] = {
    "nothing": lambda _: None,
    "revoked": lambda token: _change(token, revoked_at=timezone.now()),
    "expired": lambda token: _change(token, expires_at=timezone.now()),
    "less scopes": lambda token: _change(token, scopes=["read"]),
    "more scopes": lambda token: _change(token, scopes=["webhook", "stackstorm", "admin"]),
    "deleted": lambda token: ApiToken.objects.filter(pk=token.pk).delete(),
}


def _change(token: ApiToken, **values: Any) -> None:
    ApiToken.objects.filter(pk=token.pk).update(**values)


@pytest.mark.parametrize("is_paused", [False, True], ids=["", "paused"])
@pytest.mark.parametrize(("body", "fields"), CASES)
def test_the_answers_are_equal(
    body: bytes, fields: Any, is_paused: bool, caplog: pytest.LogCaptureFixture
) -> None:
    if is_paused:
        Pause.objects.create(reason="maint\u00e9nance", actor="a", created_at=timezone.now())

    assert_equal(caplog, body, **fields)


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
@pytest.mark.parametrize("body", [BODY, b"{", b""], ids=["valid", "no JSON", "empty"])
def test_a_change_of_the_token_takes_effect_at_once(
    change: Changes, body: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    assert_equal(caplog, body, change=change)


@pytest.mark.parametrize("error", [OperationalError("gone"), RuntimeError("a bug")], ids=str)
@pytest.mark.parametrize("change", ["nothing", "revoked"])
def test_errors_are_equal(
    error: Exception,
    change: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise error

    monkeypatch.setattr(webhook._group, "receive", fail)

    assert_equal(caplog, BODY, change=CHANGES[change])


def test_a_notification_of_a_revoked_token_stores_no_alert(client: Client) -> None:
    token, text = make_token(["webhook"])
    header = f"Bearer {text}"
    client.post(URL, b"{}", content_type="application/json", HTTP_AUTHORIZATION=header)
    CHANGES["revoked"](token)

    response = client.post(URL, BODY, content_type="application/json", HTTP_AUTHORIZATION=header)

    assert response.status_code == 401
    assert not Alert.objects.exists()
    assert ApiCall.objects.latest("id").body is None


def test_a_success_with_a_recent_token_needs_no_view(monkeypatch: pytest.MonkeyPatch) -> None:
    client = make_client("webhook")
    # What follows the short chain is not needed either.
    chain = settings.MIDDLEWARE[: settings.MIDDLEWARE.index(SHORT_CHAIN) + 1]
    monkeypatch.setattr(settings, "MIDDLEWARE", chain)
    client.post(URL, b"{}", content_type="application/json")
    monkeypatch.delattr(webhook, "_notification_view")

    with CaptureQueriesContext(connection) as queries:
        response = client.post(URL, BODY, content_type="application/json")

    assert response.status_code == 202
    about_tokens = [query["sql"] for query in queries if "api_tokens" in query["sql"]]
    assert len(about_tokens) == 1


def assert_equal(caplog: pytest.LogCaptureFixture, body: bytes, **fields: Any) -> None:
    """Compare the answer, the log and the record of the call in both chains."""
    change = fields.pop("change", CHANGES["nothing"])
    with pytest.MonkeyPatch.context() as patch:
        for name, value in fields.pop("settings", {}).items():
            patch.setattr(settings, name, value)
        long = observe(caplog, body, "host-1", change, fields, is_short=False)
        short = observe(caplog, body, "host-2", change, fields, is_short=True)
    assert short == long


def observe(
    caplog: pytest.LogCaptureFixture,
    body: bytes,
    name: str,
    change: Changes,
    fields: dict[str, Any],
    *,
    is_short: bool,
) -> dict[str, Any]:
    """Send a request with a token that was just used; return all that can be seen of it."""
    fields = {"url": URL, "method": "POST", "content_type": "application/json"} | fields
    scope = "stackstorm" if fields["url"] == CALLBACK else "webhook"
    token, text = make_token([scope], name="sender")
    basic = base64.b64encode(f"user:{text}".encode()).decode()
    header: Any = {"HTTP_AUTHORIZATION": f"Basic {basic}"} | fields
    chain = [one for one in settings.MIDDLEWARE if is_short or one != SHORT_CHAIN]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(settings, "MIDDLEWARE", chain)
        client = Client(raise_request_exception=False)
        plain: Any = {"content_type": "application/json", "HTTP_AUTHORIZATION": f"Basic {basic}"}
        client.generic("POST", URL, b"", **plain)
        change(token)
        count = ApiCall.objects.count()
        caplog.clear()
        with caplog.at_level(logging.INFO):
            sent = body.replace(b"NAME", name.encode())
            response = client.generic(
                header.pop("method"),
                header.pop("url"),
                gzip.compress(sent, mtime=0) if header.pop("compress", False) else sent,
                secure=header.pop("secure", False),
                **header,
            )
    recorded = list(
        ApiCall.objects.order_by("id").values(
            *("client_request_id", "method", "path", "query_params", "headers", "body", "actor"),
            *("actor_kind", "client_host", "status_code", "response_body"),
        )
    )[count:]
    last_used = ApiToken.objects.filter(pk=token.pk).exclude(last_used_at=None).count()
    ApiToken.objects.filter(pk=token.pk).delete()
    observed = {
        "status": response.status_code,
        # The long chain has read the session before it refuses a host, so it adds this header.
        "headers": dict(response.headers.items() - {("Vary", "Cookie")}),
        "content": response.content.decode(),
        "log": [(one.name, one.levelname, one.getMessage()) for one in caplog.records],
        "recorded": recorded,
        "used": last_used,
    }
    text = json.dumps(observed, sort_keys=True).replace(name, "NAME")
    normal: dict[str, Any] = json.loads(re.sub(r"\b([0-9a-f]{32}|[0-9a-f]{16})\b", "ID", text))
    return normal


@pytest.mark.parametrize("url", [URL, CALLBACK])
def test_a_sender_retries_if_the_first_look_at_its_token_fails(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = make_client("webhook", "stackstorm")
    module: Any = token
    find = module.valid_token_row
    errors = [OperationalError(2013, "Lost connection to server during query")]

    def fail_once(sha256: str) -> Any:
        if errors:
            raise errors.pop()
        return find(sha256)

    monkeypatch.setattr(module, "valid_token_row", fail_once)

    response = client.post(url, BODY, content_type="application/json")

    assert response.status_code == 503


def test_a_failure_to_record_the_use_of_a_token_is_a_503(monkeypatch: pytest.MonkeyPatch) -> None:
    client = make_client("webhook")
    assert client.post(URL, BODY, content_type="application/json").status_code == 202

    def fail(*_arguments: Any, **_options: Any) -> None:
        raise OperationalError(2006, "Server has gone away")

    monkeypatch.setattr(ApiToken, "_record_use", fail)
    response = client.post(URL, BODY, content_type="application/json")

    assert response.status_code == 503
    assert response.json()["error"]["code"] == "unavailable"
