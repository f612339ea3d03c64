"""Whether StackStorm acted on a request, by its error response, and the Retry-After header."""

from typing import Any

import pytest
import responses

from remediation.stackstorm import StackStormError, StackStormRejected, StackStormUnavailable
from remediation.stackstorm.response_errors import ResponseKind, classify
from remediation.stackstorm.responses import read_retry_after
from tests.remediation.stackstorm.recordings import HOST, add_response, make_client, recording

PATH = "/v1/executions"
API_IS_DOWN = "Nginx is unable to reach st2api. Make sure service is running."
# Only StackStorm's nginx was recorded. These are the default pages of nginx and HAProxy.
PAGE_429 = "<html><body><h1>429 Too Many Requests</h1></body></html>"
PAGE_502 = "<html><body><center><h1>502 Bad Gateway</h1></center></body></html>"
PAGE_503 = "<html><body><h1>503 Service Unavailable</h1>No server is available.</body></html>"
PAGE_504 = "<html><body><center><h1>504 Gateway Time-out</h1></center></body></html>"

# recording -> kind of the response to a POST
RECORDED = {
    "post-execution-unknown-action-400": ResponseKind.REJECTED,
    "post-execution-wrong-key-401": ResponseKind.REFUSED,
    "rbac-post-execution-403": ResponseKind.REJECTED,
    "nginx-404": ResponseKind.REJECTED,
    "nginx-method-405": ResponseKind.UNCERTAIN,
    "nginx-post-over-1mb-413": ResponseKind.REJECTED,
    "nginx-plain-http-308": ResponseKind.REFUSED,
    "nginx-api-down-503": ResponseKind.REFUSED,
    "post-execution-array-body-500": ResponseKind.UNCERTAIN,
    "rabbit-down-post-execution-500": ResponseKind.UNCERTAIN,
    "nginx-post-execution-after-broker-restart-500": ResponseKind.UNCERTAIN,
}


def run() -> None:
    make_client().run_action("core.local", {"cmd": "true"}, trace_tag="client-0001")


def refusal_of(st2: responses.RequestsMock, status: int, body: str = "", **headers: str) -> Any:
    st2.post(f"{HOST}{PATH}", status=status, body=body, headers=headers)
    with pytest.raises(StackStormError) as caught:
        run()
    return caught.value


def kind_of(error: StackStormError) -> ResponseKind:
    if isinstance(error, StackStormRejected):
        return ResponseKind.REJECTED
    assert isinstance(error, StackStormUnavailable)
    if not error.may_have_been_sent:
        return ResponseKind.REFUSED
    return ResponseKind.GATEWAY if error.by_gateway else ResponseKind.UNCERTAIN


@pytest.mark.parametrize("name", RECORDED)
def test_the_kind_of_a_recorded_response_to_a_launch(
    st2: responses.RequestsMock, name: str
) -> None:
    add_response(st2, name, path=PATH, method="POST")

    with pytest.raises(StackStormError) as caught:
        run()

    assert kind_of(caught.value) is RECORDED[name]
    assert caught.value.status == recording(name).status


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (429, PAGE_429, ResponseKind.REFUSED),
        (502, PAGE_502, ResponseKind.GATEWAY),
        (503, PAGE_503, ResponseKind.GATEWAY),
        (504, PAGE_504, ResponseKind.GATEWAY),
        (502, f'{{"faultstring": "{API_IS_DOWN}"}}', ResponseKind.REFUSED),
        (500, "", ResponseKind.UNCERTAIN),
        (505, "", ResponseKind.UNCERTAIN),
        (408, "", ResponseKind.UNCERTAIN),
        (409, "", ResponseKind.UNCERTAIN),
        (202, "", ResponseKind.UNCERTAIN),
    ],
)
def test_the_kind_of_another_response_to_a_launch(
    st2: responses.RequestsMock, status: int, body: str, kind: ResponseKind
) -> None:
    assert kind_of(refusal_of(st2, status, body)) is kind


@pytest.mark.parametrize("method", ["GET", "DELETE"])
@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, ResponseKind.REJECTED),
        (401, ResponseKind.REFUSED),
        (403, ResponseKind.REJECTED),
        (404, ResponseKind.REJECTED),
        (405, ResponseKind.REJECTED),
        (408, ResponseKind.UNCERTAIN),
        (409, ResponseKind.REJECTED),
        (425, ResponseKind.UNCERTAIN),
        (429, ResponseKind.REFUSED),
        (500, ResponseKind.UNCERTAIN),
        (502, ResponseKind.GATEWAY),
        (503, ResponseKind.GATEWAY),
        (504, ResponseKind.GATEWAY),
        (302, ResponseKind.REFUSED),
    ],
)
def test_the_kind_of_a_response_to_a_read_or_cancel(
    method: str, status: int, kind: ResponseKind
) -> None:
    assert classify(method, status, "") is kind


@pytest.mark.parametrize(
    ("status", "stops"), [(401, True), (429, True), (500, True), (502, True), (202, False)]
)
def test_some_errors_stop_the_other_requests(
    st2: responses.RequestsMock, status: int, stops: bool
) -> None:
    assert refusal_of(st2, status).stops_others is stops


DATE = "Mon, 30 Nov 2026 14:00:00 GMT"


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("7", 7.0),
        (" 0 ", 0.0),
        ("Mon, 30 Nov 2026 14:00:09 GMT", 9.0),
        ("Mon, 30 Nov 2026 13:00:00 GMT", 0.0),
        ("86400", 300.0),
        ("9" * 5_000, 300.0),
        ("Mon, 30 Nov 2099 13:00:00 GMT", 300.0),
        ("", None),
        ("soon", None),
        ("-5", None),
        ("1.5", None),
        ("Mon, 99 Nov 2026 14:00:00 GMT", None),
    ],
)
def test_retry_after_is_seconds_or_a_date_and_limited(value: str, seconds: float | None) -> None:
    assert read_retry_after(value, date=DATE) == seconds


@pytest.mark.parametrize("status", [429, 503])
def test_the_error_has_retry_after(st2: responses.RequestsMock, status: int) -> None:
    assert refusal_of(st2, status, **{"Retry-After": "7"}).retry_after == 7.0


def test_a_date_in_retry_after_is_compared_with_the_date_header(
    st2: responses.RequestsMock,
) -> None:
    headers = {"Retry-After": "Mon, 30 Nov 2026 14:00:20 GMT", "Date": DATE}

    assert refusal_of(st2, 429, **headers).retry_after == 20.0


def test_without_the_header_retry_after_is_none(st2: responses.RequestsMock) -> None:
    assert refusal_of(st2, 429).retry_after is None
