"""Request ids and the recording of API calls."""

from __future__ import annotations

import base64
import json
import re
from typing import Any

import pytest
from django.core.exceptions import PermissionDenied
from django.db import connection
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.test import Client
from django.urls import path
from django.views.decorators.csrf import csrf_exempt
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from audit import middleware
from audit.models import ApiCall
from audit.record_budget import RecordBudget
from remediation import process_counts
from remediation.api.parsers import ObjectParser
from remediation.engine.totals.definitions import UNRECORDED_CALLS
from remediation.models import Scope
from remediation.redaction import mask
from remediation.values.text import storable
from tests.factories import make_token
from tests.remediation.refused_rows import refused

ECHO = "/api/v1/echo"


def unrecorded() -> float:
    return process_counts.waiting(UNRECORDED_CALLS)


@csrf_exempt
def echo(request: Any) -> HttpResponse:
    return JsonResponse({"request_id": request.request_id, "bytes": len(request.body)}, status=202)


def forbid(request: HttpRequest) -> HttpResponse:
    raise PermissionDenied


def not_found(request: HttpRequest) -> HttpResponse:
    raise Http404


def fail(request: HttpRequest) -> HttpResponse:
    raise RuntimeError("failed on purpose")


class TokenView(APIView):
    parser_classes = [ObjectParser]
    scopes = {"get": Scope.READ, "post": Scope.WEBHOOK}

    def get(self, request: Request) -> Response:
        return Response({"api_key": "not-recorded"})

    def post(self, request: Request) -> Response:
        return Response({"read": request.data}, status=201)


urlpatterns = [
    path("api/v1/echo", echo),
    path("api/v1/refuse", forbid),
    path("api/v1/lose", not_found),
    path("api/v1/break", fail),
    path("api/v1/guarded", TokenView.as_view()),
    path("api/v1/schema/", echo),
    path("api/v1/docs/", echo),
    path("elsewhere", echo),
]
pytestmark = [pytest.mark.django_db, pytest.mark.urls(__name__), pytest.mark.slow]


@pytest.fixture
def caller() -> Client:
    """A client with a valid token."""
    _, text = make_token(["stackstorm"], name="caller")
    authorization = {"Authorization": f"Bearer {text}"}
    return Client(raise_request_exception=False, headers=authorization)


@pytest.fixture
def stranger(monkeypatch: pytest.MonkeyPatch) -> Client:
    """A client without credentials, and a new limit of their records."""
    monkeypatch.setattr(middleware, "unknown_callers", RecordBudget())
    return Client(raise_request_exception=False)


def post(caller: Client, body: str | bytes, url: str = ECHO, **headers: str) -> Any:
    return caller.post(url, data=body, content_type="application/json", headers=headers)


def test_every_request_has_a_unique_id(caller):
    responses = [caller.get(url) for url in ("/elsewhere", "/nowhere", ECHO, ECHO)]

    ids = [response["X-Request-ID"] for response in responses]
    assert len(set(ids)) == 4
    assert all(re.fullmatch("[0-9a-f]{32}", request_id) for request_id in ids)


def test_the_view_and_the_record_have_the_id_of_the_response(caller):
    response = post(caller, "{}")

    assert response.json()["request_id"] == response["X-Request-ID"]
    assert ApiCall.objects.get().request_id == response["X-Request-ID"]


@pytest.mark.parametrize(
    ("sent", "stored"),
    [
        ("abc-123", "abc-123"),
        ("a" * 300, "a" * 200),
        ("a\tb\x00c\x7fd", "abcd"),
    ],
)
def test_the_client_request_id_is_stored(caller, sent, stored):
    response = caller.get(ECHO, headers={"X-Request-ID": sent})

    assert response["X-Request-ID"] != sent
    assert ApiCall.objects.get().client_request_id == stored


def test_a_record_has_all_details_of_a_call(caller):
    post(caller, '{"alerts": []}', f"{ECHO}?dry=1&dry=2")

    call = ApiCall.objects.get()
    assert (call.method, call.path, call.status_code) == ("POST", ECHO, 202)
    assert call.query_params == {"dry": ["1", "2"]}
    assert call.body == {"alerts": []}
    assert call.response_body is not None
    assert call.response_body["bytes"] == 14
    assert call.client_host == "127.0.0.1"
    assert call.processing_time_ms > 0
    assert call.created_at <= call.completed_at


@pytest.mark.django_db(transaction=True)
def test_a_record_that_the_database_rejects_is_stored_without_bodies(caller):
    with refused(ApiCall, "NEW.body LIKE '%poison%'", event="INSERT"):
        post(caller, '{"alerts": "poison"}', f"{ECHO}?note=poison")

    call = ApiCall.objects.get()
    assert (call.method, call.path, call.status_code) == ("POST", ECHO, 202)
    assert call.body == {"truncated": True, "reason": "it could not be stored"}
    assert (call.response_body, call.query_params) == (call.body, {})


@pytest.mark.parametrize("url", ["/elsewhere", "/api/v1/schema/", "/api/v1/docs/"])
def test_other_requests_are_not_recorded(caller, url):
    caller.get(url)

    assert not ApiCall.objects.exists()


@pytest.mark.parametrize(
    ("url", "status_code"),
    [
        ("/api/v1/guarded", 403),
        ("/api/v1/refuse", 403),
        ("/api/v1/lose", 404),
        ("/api/v1/no/such/path", 404),
        ("/api/v1/break", 500),
    ],
)
def test_failed_calls_are_recorded(caller, url, status_code):
    response = caller.get(url)

    call = ApiCall.objects.get()
    assert (response.status_code, call.status_code) == (status_code, status_code)
    assert call.response_body


def test_the_actor_is_the_name_of_the_token(caller):
    _, text = make_token(["webhook"], name="alertmanager-fra1")

    response = post(caller, '{"a": 1}', "/api/v1/guarded", Authorization=f"Bearer {text}")

    assert response.status_code == 201
    assert ApiCall.objects.get().actor == "alertmanager-fra1"


def test_a_forbidden_call_has_its_actor(caller):
    _, text = make_token(["webhook"], name="alertmanager-fra1")

    response = caller.get("/api/v1/guarded", headers={"Authorization": f"Bearer {text}"})

    assert response.status_code == 403
    assert ApiCall.objects.get().actor == "alertmanager-fra1"


def test_the_actor_is_the_signed_in_user(client, admin_user):
    client.force_login(admin_user)

    client.get(ECHO)

    assert ApiCall.objects.get().actor == "admin"


def test_the_view_and_the_record_have_the_same_body(caller):
    _, text = make_token(["webhook"])

    response = post(caller, '{"a": [1]}', "/api/v1/guarded", Authorization=f"Bearer {text}")

    assert response.json() == {"read": {"a": [1]}}
    assert ApiCall.objects.get().body == {"a": [1]}


def test_no_secret_is_recorded(caller, settings):
    settings.ST2_API_KEY = "known-secret-value"
    _, token = make_token(["webhook"])
    basic = base64.b64encode(f"hidden-3:{token}".encode()).decode()
    body = {"password": "hidden-1", "note": "the key is known-secret-value"}

    post(
        caller,
        json.dumps(body),
        f"{ECHO}?token=hidden-2",
        Authorization=f"Basic {basic}",
        Cookie="sessionid=hidden-4",
    )

    [row] = ApiCall.objects.values()
    stored = repr(row)
    assert "hidden" not in stored
    assert basic not in stored
    assert token not in stored
    assert "known-secret-value" not in stored
    assert row["body"] is not None
    assert row["body"]["note"].startswith("the key is ")


def test_no_secret_of_a_response_is_recorded(caller):
    _, text = make_token(["webhook"])

    post(caller, '{"secret": "hidden"}', "/api/v1/guarded", Authorization=f"Bearer {text}")

    assert "hidden" not in repr(ApiCall.objects.get().response_body)


def test_the_response_of_a_successful_read_is_not_recorded(caller):
    caller.get(ECHO)

    assert ApiCall.objects.get().response_body is None


def test_a_large_body_is_truncated(caller):
    body = json.dumps({"alerts": ["x" * middleware.BODY_BYTES_MAX]})

    response = post(caller, body)

    stored = ApiCall.objects.get().body
    assert response.json()["bytes"] == len(body)
    assert stored == {"truncated": True, "bytes": len(body), "beginning": body[:2000]}


def test_truncation_leaves_no_part_of_a_secret(caller, settings):
    settings.ST2_API_KEY = "S3CR" * 20
    body = "x" * 1960 + settings.ST2_API_KEY + "x" * middleware.BODY_BYTES_MAX

    post(caller, body)

    call = ApiCall.objects.get()
    assert call.body is not None
    assert "S3CR" not in call.body["beginning"]


def test_a_rejected_large_body_is_recorded_by_size(caller, settings):
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 10

    response = post(caller, "x" * 5_000)

    assert response.status_code == 400
    assert ApiCall.objects.get().body == {"truncated": True, "bytes": 5_000, "beginning": ""}


def test_invalid_json_is_recorded_as_text(caller):
    post(caller, b"alerts: [\xff]")

    assert ApiCall.objects.get().body == "alerts: [�]"


@pytest.mark.parametrize(
    ("body", "stored"),
    [
        ("", None),
        ("null", None),
        ("[NaN, -Infinity, 1e400]", ["NaN", "-Infinity", "1e400"]),
        (r'{"a\u0000": "\ud800\u0000b"}', {"a�": "��b"}),
        ("1" * 100_000, {"truncated": True, "bytes": 100_000, "beginning": "1" * 2_000}),
    ],
)
def test_unstorable_values_are_replaced(caller, body, stored):
    post(caller, body)

    assert ApiCall.objects.get().body == stored


@pytest.mark.parametrize("depth", [30, 5_000, 100_000])
def test_deep_nesting_is_recorded(caller, depth):
    response = post(caller, "[" * depth + "]" * depth)

    assert response.status_code == 202
    assert ApiCall.objects.get().body is not None


JSON_TEXT = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(st.characters(), max_size=8),
    lambda children: st.lists(children) | st.dictionaries(st.text(st.characters()), children),
    max_leaves=8,
).map(json.dumps)


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(body=st.binary(max_size=60) | JSON_TEXT.map(str.encode), name=st.text(max_size=9))
def test_every_request_is_recorded(caller, body, name):
    before = unrecorded()

    response = caller.post(
        f"{ECHO}?{name}", data=body, content_type="text/plain", headers={"X-Request-ID": "a"}
    )

    assert response.status_code == 202
    assert unrecorded() == before
    assert ApiCall.objects.filter(request_id=response["X-Request-ID"]).exists()


@pytest.mark.django_db(transaction=True)
def test_a_failed_record_is_counted_and_keeps_the_response(caller, caplog):
    def fail_insert(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        return execute(sql.replace("api_calls", "no_such_table"), params, many, context)

    before = unrecorded()
    with connection.execute_wrapper(fail_insert):
        response = post(caller, "{}")

    assert response.status_code == 202
    assert unrecorded() == before + 1
    assert response["X-Request-ID"] in caplog.text
    assert not ApiCall.objects.exists()


def test_recording_a_call_is_one_statement(stranger, django_assert_num_queries):
    with django_assert_num_queries(1) as queries:
        stranger.get(ECHO)

    assert queries[0]["sql"].startswith("INSERT")


def test_a_token_is_read_once_per_call(caller, django_assert_max_num_queries):
    caller.get("/api/v1/guarded")

    with django_assert_max_num_queries(3) as queries:
        caller.get("/api/v1/guarded")

    assert sum("api_tokens" in query["sql"] for query in queries) == 1


WORDS = ["a", "\u00e9", "\x00", "\ud800", "hunter22", "password", "abc", "*****", "\\", '"']
TEXTS = st.lists(st.sampled_from(WORDS), max_size=4).map("".join)
VALUES = st.recursive(
    TEXTS | st.none() | st.integers() | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner) | st.dictionaries(TEXTS, inner),
    max_leaves=8,
)


@example(value={"hunter22": "my hunter22", "b": "abc"}, secrets=["hunter22"], is_ascii=True)
@example(value=["abc", "abcd"], secrets=["abc"], is_ascii=True)
@given(value=VALUES, secrets=st.lists(TEXTS, max_size=3), is_ascii=st.booleans())
def test_a_body_is_stored_as_if_masked_and_then_made_storable(value, secrets, is_ascii):
    text = json.dumps(value, ensure_ascii=is_ascii)
    content = text.encode(errors="replace")

    stored = middleware._stored_body(content, secrets)

    assert stored == storable_value(mask(json.loads(content), secrets=secrets))


def storable_value(value):
    if isinstance(value, str):
        return storable(value)
    if isinstance(value, list):
        return [storable_value(item) for item in value]
    if isinstance(value, dict):
        return {storable(key): storable_value(item) for key, item in value.items()}
    return value
