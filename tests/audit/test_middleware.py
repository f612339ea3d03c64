"""The ids of requests and the record of API calls."""

from __future__ import annotations

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
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from audit import middleware
from audit.models import ApiCall
from remediation.api.parsers import ObjectParser
from remediation.models import Scope
from tests.factories import make_token
from tests.remediation.refused_rows import refused

ECHO = "/api/v1/echo"


@csrf_exempt
def echo(request: HttpRequest) -> HttpResponse:
    return JsonResponse({"request_id": request.request_id, "bytes": len(request.body)}, status=202)


def refuse(request: HttpRequest) -> HttpResponse:
    raise PermissionDenied


def lose(request: HttpRequest) -> HttpResponse:
    raise Http404


def break_down(request: HttpRequest) -> HttpResponse:
    raise RuntimeError("broken on purpose")


class Guarded(APIView):
    parser_classes = [ObjectParser]
    scopes = {"get": Scope.READ, "post": Scope.WEBHOOK}

    def get(self, request: Request) -> Response:
        return Response({"api_key": "kept-nowhere"})

    def post(self, request: Request) -> Response:
        return Response({"read": request.data}, status=201)


urlpatterns = [
    path("api/v1/echo", echo),
    path("api/v1/refuse", refuse),
    path("api/v1/lose", lose),
    path("api/v1/break", break_down),
    path("api/v1/guarded", Guarded.as_view()),
    path("api/v1/schema/", echo),
    path("api/v1/docs/", echo),
    path("elsewhere", echo),
]
pytestmark = [pytest.mark.django_db, pytest.mark.urls(__name__)]


@pytest.fixture
def caller() -> Client:
    return Client(raise_request_exception=False)


def post(caller: Client, body: str | bytes, address: str = ECHO, **headers: str) -> Any:
    return caller.post(address, data=body, content_type="application/json", headers=headers)


def test_every_request_has_an_id_of_its_own(caller):
    answers = [caller.get(address) for address in ("/elsewhere", "/nowhere", ECHO, ECHO)]

    ids = [answer["X-Request-ID"] for answer in answers]
    assert len(set(ids)) == 4
    assert all(re.fullmatch("[0-9a-f]{32}", request_id) for request_id in ids)


def test_the_view_and_the_record_know_the_id_that_the_answer_bears(caller):
    answer = post(caller, "{}")

    assert answer.json()["request_id"] == answer["X-Request-ID"]
    assert ApiCall.objects.get().request_id == answer["X-Request-ID"]


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("abc-123", "abc-123"),
        ("a" * 300, "a" * 200),
        ("a\tb\x00c\x7fd", "abcd"),
    ],
)
def test_the_callers_id_is_kept_beside_ours(caller, sent, kept):
    answer = caller.get(ECHO, headers={"X-Request-ID": sent})

    assert answer["X-Request-ID"] != sent
    assert ApiCall.objects.get().client_request_id == kept


def test_a_call_is_recorded_whole(caller):
    post(caller, '{"alerts": []}', f"{ECHO}?dry=1&dry=2")

    call = ApiCall.objects.get()
    assert (call.method, call.path, call.status_code) == ("POST", ECHO, 202)
    assert call.query_params == {"dry": ["1", "2"]}
    assert call.body == {"alerts": []}
    assert call.response_body["bytes"] == 14
    assert call.client_host == "127.0.0.1"
    assert call.processing_time_ms > 0
    assert call.created_at <= call.completed_at


@pytest.mark.django_db(transaction=True)
def test_a_call_that_is_refused_is_recorded_without_its_bodies(caller):
    with refused(ApiCall, "NEW.body LIKE '%poison%'", event="INSERT"):
        post(caller, '{"alerts": "poison"}', f"{ECHO}?note=poison")

    call = ApiCall.objects.get()
    assert (call.method, call.path, call.status_code) == ("POST", ECHO, 202)
    assert call.body == {"truncated": True, "reason": "it could not be stored"}
    assert (call.response_body, call.query_params) == (call.body, {})


@pytest.mark.parametrize("address", ["/elsewhere", "/api/v1/schema/", "/api/v1/docs/"])
def test_what_is_no_call_of_the_api_is_not_recorded(caller, address):
    caller.get(address)

    assert not ApiCall.objects.exists()


@pytest.mark.parametrize(
    ("address", "status_code"),
    [
        ("/api/v1/guarded", 401),
        ("/api/v1/refuse", 403),
        ("/api/v1/lose", 404),
        ("/api/v1/no/such/path", 404),
        ("/api/v1/break", 500),
    ],
)
def test_calls_that_fail_are_recorded_too(caller, address, status_code):
    answer = caller.get(address)

    call = ApiCall.objects.get()
    assert (answer.status_code, call.status_code) == (status_code, status_code)
    assert call.response_body


def test_the_actor_is_the_token_that_was_recognized(caller):
    _, text = make_token(["webhook"], name="alertmanager-fra1")

    answer = post(caller, '{"a": 1}', "/api/v1/guarded", Authorization=f"Bearer {text}")

    assert answer.status_code == 201
    assert ApiCall.objects.get().actor == "alertmanager-fra1"


def test_the_actor_of_a_refused_call_is_known_when_its_token_is(caller):
    _, text = make_token(["webhook"], name="alertmanager-fra1")

    answer = caller.get("/api/v1/guarded", headers={"Authorization": f"Bearer {text}"})

    assert answer.status_code == 403
    assert ApiCall.objects.get().actor == "alertmanager-fra1"


def test_the_actor_is_the_person_who_is_signed_in(caller, admin_user):
    caller.force_login(admin_user)

    caller.get(ECHO)

    assert ApiCall.objects.get().actor == "admin"


def test_the_framework_and_the_record_read_the_same_body(caller):
    _, text = make_token(["webhook"])

    answer = post(caller, '{"a": [1]}', "/api/v1/guarded", Authorization=f"Bearer {text}")

    assert answer.json() == {"read": {"a": [1]}}
    assert ApiCall.objects.get().body == {"a": [1]}


def test_no_secret_is_recorded(caller, settings):
    settings.ST2_API_KEY = "known-secret-value"
    body = {"password": "hidden-1", "note": "the key is known-secret-value"}

    post(
        caller,
        json.dumps(body),
        f"{ECHO}?token=hidden-2",
        Authorization="Basic aGlkZGVuLTM6aGlkZGVuLTM=",
        Cookie="sessionid=hidden-4",
    )

    [row] = ApiCall.objects.values()
    stored = repr(row)
    assert "hidden" not in stored
    assert "aGlkZGVu" not in stored
    assert "known-secret-value" not in stored
    assert row["body"]["note"].startswith("the key is ")


def test_no_secret_of_an_answer_is_recorded(caller):
    _, text = make_token(["webhook"])

    post(caller, '{"secret": "hidden"}', "/api/v1/guarded", Authorization=f"Bearer {text}")

    assert "hidden" not in repr(ApiCall.objects.get().response_body)


def test_the_answer_of_a_successful_read_is_not_copied(caller):
    caller.get(ECHO)

    assert ApiCall.objects.get().response_body is None


def test_a_large_body_is_recorded_by_its_beginning(caller):
    body = json.dumps({"alerts": ["x" * middleware.BODY_BYTES_MAX]})

    answer = post(caller, body)

    kept = ApiCall.objects.get().body
    assert answer.json()["bytes"] == len(body)
    assert kept == {"truncated": True, "bytes": len(body), "beginning": body[:2000]}


def test_a_secret_across_the_cut_leaves_no_half_of_it(caller, settings):
    settings.ST2_API_KEY = "S3CR" * 20
    body = "x" * 1960 + settings.ST2_API_KEY + "x" * middleware.BODY_BYTES_MAX

    post(caller, body)

    assert "S3CR" not in ApiCall.objects.get().body["beginning"]


def test_a_body_that_is_too_big_to_be_read_is_recorded_by_its_size(caller, settings):
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 10

    answer = post(caller, "x" * 5_000)

    assert answer.status_code == 400
    assert ApiCall.objects.get().body == {"truncated": True, "bytes": 5_000, "beginning": ""}


def test_a_body_that_is_no_json_is_recorded_as_text(caller):
    post(caller, b"alerts: [\xff]")

    assert ApiCall.objects.get().body == "alerts: [�]"


@pytest.mark.parametrize(
    ("body", "kept"),
    [
        ("", None),
        ("null", None),
        ("[NaN, -Infinity, 1e400]", ["NaN", "-Infinity", "1e400"]),
        (r'{"a\u0000": "\ud800\u0000b"}', {"a�": "��b"}),
        ("1" * 100_000, {"truncated": True, "bytes": 100_000, "beginning": "1" * 2_000}),
    ],
)
def test_what_no_database_stores_is_replaced(caller, body, kept):
    post(caller, body)

    assert ApiCall.objects.get().body == kept


@pytest.mark.parametrize("depth", [30, 5_000, 100_000])
def test_deep_nesting_is_recorded(caller, depth):
    answer = post(caller, "[" * depth + "]" * depth)

    assert answer.status_code == 202
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
def test_whatever_is_sent_is_recorded(caller, body, name):
    before = middleware.unrecorded_calls.value

    answer = caller.post(
        f"{ECHO}?{name}", data=body, content_type="text/plain", headers={"X-Request-ID": "a"}
    )

    assert answer.status_code == 202
    assert middleware.unrecorded_calls.value == before
    assert ApiCall.objects.filter(request_id=answer["X-Request-ID"]).exists()


def test_a_record_that_cannot_be_written_leaves_the_answer_and_is_counted(caller, caplog):
    def refuse_insert(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        return execute(sql.replace("api_calls", "no_such_table"), params, many, context)

    before = middleware.unrecorded_calls.value
    with connection.execute_wrapper(refuse_insert):
        answer = post(caller, "{}")

    assert answer.status_code == 202
    assert middleware.unrecorded_calls.value == before + 1
    assert answer["X-Request-ID"] in caplog.text
    assert not ApiCall.objects.exists()


def test_recording_a_call_is_one_statement(caller, django_assert_num_queries):
    with django_assert_num_queries(1) as queries:
        caller.get(ECHO)

    assert queries[0]["sql"].startswith("INSERT")
