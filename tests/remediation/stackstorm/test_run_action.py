"""Starting an action: every recorded response to POST /executions."""

import json
from typing import Any

import pytest
import responses

from remediation.stackstorm import Execution, StackStormRejected, StackStormUnavailable
from tests.remediation.stackstorm.recordings import (
    HOST,
    KEY,
    add_response,
    make_client,
    recording,
)

PATH = "/v1/executions"

CREATED = [
    "api-restarted-after-rabbit-back-post-201",
    "nginx-post-execution-201",
    "post-execution-201",
    "post-execution-arbitrary-context-201",
    "post-execution-boolean-as-string",
    "post-execution-delay-201",
    "post-execution-integer-as-string",
    "post-execution-jinja-broken-syntax-201",
    "post-execution-jinja-nested-201",
    "post-execution-jinja-raw-escape-201",
    "post-execution-jinja-rendered-201",
    "post-execution-jinja-string-escape-201",
    "post-execution-no-content-type",
    "post-execution-optional-null",
    "post-execution-orquesta-201",
    "post-execution-remote-201",
    "post-execution-same-trace-tag-again-201",
    "post-execution-st2-context-header-201",
    "post-execution-trace-tag-201",
    "post-execution-typed-ok-201",
    "post-execution-unknown-top-level-key",
    "post-execution-user-bob",
    "post-execution-with-notify-201",
    "rbac-post-execution-allowed-201",
    "rbac-post-execution-pack-all-201",
]

MISSING_CMD = "The parameter 'cmd' is missing: check the st2_parameters mapping of the action."

# recording -> beginning of the hint in the error
REJECTED = {
    "nginx-post-over-1mb-413": "The parameters are too large",
    "post-execution-array-as-string-400": "",
    "post-execution-bad-json-400": "",
    "post-execution-context-not-object-400": "",
    "post-execution-disabled-action-400": "",
    "post-execution-empty-body-400": "The parameter 'action' is missing",
    "post-execution-enum-400": "",
    "post-execution-immutable-400": "",
    "post-execution-integer-over-maximum-400": "",
    "post-execution-jinja-undefined-400": "",
    "post-execution-missing-required-400": MISSING_CMD,
    "post-execution-missing-required-typed-400": "The parameter 'host' is missing",
    "post-execution-no-action-400": "The parameter 'action' is missing",
    "post-execution-object-as-string-400": "",
    "post-execution-ref-without-dot-400": "Include the pack in st2_action_ref",
    "post-execution-required-null-400": "",
    "post-execution-trace-id-unknown-400": "",
    "post-execution-trace-tag-empty-400": "",
    "post-execution-unknown-action-400": "Correct st2_action_ref: the pack core",
    "post-execution-unknown-pack-400": "Correct st2_action_ref, or install the pack: StackStorm",
    "post-execution-unknown-parameter-400": "",
    "post-execution-wrong-content-type-400": "",
    "post-execution-wrong-type-boolean-400": "",
    "post-execution-wrong-type-integer-400": "",
    "post-execution-wrong-type-string-400": "",
    "rbac-post-execution-403": "",
    "rbac-post-execution-as-user-403": "",
    "rbac-post-execution-no-role-403": "",
    "unknown-path-404": "Check ST2_API_URL",
    "nginx-404": "Check ST2_API_URL",
}

# recording -> part of the hint. StackStorm certainly did not act on these.
NOT_EXECUTED = {
    "nginx-api-down-503": "",
    "nginx-plain-http-308": "which should start with https://",
    "post-execution-no-credentials-401": "st2 apikey create -k -m",
    "post-execution-wrong-key-401": "st2 apikey create -k -m",
}

# StackStorm may have acted on these, or may still act.
AMBIGUOUS = [
    "nginx-method-405",
    "nginx-post-execution-after-broker-restart-500",
    "nginx-stream-down-200",
    "post-execution-array-body-500",
    "post-execution-rabbit-down",
    "post-execution-trace-context-bad-key-500",
]


def run(**overrides: Any) -> Execution:
    arguments: dict[str, Any] = {
        "action_ref": "core.local",
        "parameters": {"cmd": "echo traced"},
        "trace_tag": "client-0001",
    }
    return make_client().run_action(**(arguments | overrides))


@pytest.mark.parametrize("name", CREATED)
def test_a_created_execution_is_returned(st2: responses.RequestsMock, name: str) -> None:
    add_response(st2, name)
    body = recording(name).body
    trace = body["context"].get("trace_context", {})

    execution = run(trace_tag=trace.get("trace_tag", "client-0001"))

    assert execution.id == body["id"]
    assert execution.status == "requested"
    assert execution.liveaction_id == body["liveaction"]["id"]
    assert execution.action_ref == body["action"]["ref"]
    assert execution.runner_name == body["runner"]["name"]
    assert execution.parameters == body.get("parameters", {})
    assert execution.web_url == body["web_url"]
    assert execution.is_top_level


@pytest.mark.parametrize("name", REJECTED)
def test_a_refusal_has_the_error_text_of_stackstorm(st2: responses.RequestsMock, name: str) -> None:
    add_response(st2, name, path=PATH, method="POST")

    with pytest.raises(StackStormRejected) as caught:
        run()

    recorded = recording(name)
    error = caught.value
    assert (error.method, error.path, error.status) == ("POST", "/executions", recorded.status)
    if isinstance(recorded.body, dict):
        assert error.message == recorded.body["faultstring"]
    assert error.hint.startswith(REJECTED[name])
    assert bool(error.hint) is bool(REJECTED[name])


@pytest.mark.parametrize("name", NOT_EXECUTED)
def test_a_request_that_was_not_executed_is_reported_as_not_sent(
    st2: responses.RequestsMock, name: str
) -> None:
    add_response(st2, name, path=PATH, method="POST")

    with pytest.raises(StackStormUnavailable) as caught:
        run()

    assert caught.value.status == recording(name).status
    assert caught.value.may_have_been_sent is False
    assert NOT_EXECUTED[name] in caught.value.hint
    assert bool(caught.value.hint) is bool(NOT_EXECUTED[name])


@pytest.mark.parametrize("name", AMBIGUOUS)
def test_a_request_that_may_have_been_executed_is_ambiguous(
    st2: responses.RequestsMock, name: str
) -> None:
    add_response(st2, name, path=PATH, method="POST")

    with pytest.raises(StackStormUnavailable) as caught:
        run()

    assert caught.value.status == recording(name).status
    assert caught.value.may_have_been_sent is True


@pytest.mark.parametrize("status", [200, 202, 405, 409, 500, 502, 503, 504])
def test_any_other_status_is_ambiguous(st2: responses.RequestsMock, status: int) -> None:
    st2.post(f"{HOST}{PATH}", status=status, body="<html><body>Bad Gateway</body></html>")

    with pytest.raises(StackStormUnavailable) as caught:
        run()

    assert caught.value.may_have_been_sent is True
    assert caught.value.message == "Bad Gateway"


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects_are_not_followed(st2: responses.RequestsMock, status: int) -> None:
    st2.post(f"{HOST}{PATH}", status=status, headers={"Location": "https://st2.example.com/x"})

    with pytest.raises(StackStormUnavailable, match=r"to https://st2\.example\.com/x") as caught:
        run()

    assert caught.value.may_have_been_sent is False
    assert len(st2.calls) == 1


@pytest.mark.parametrize("body", ["", "null", "[]", "{}", '"id"', '{"id": 7}', "<html></html>"])
def test_a_201_without_an_execution_is_ambiguous(st2: responses.RequestsMock, body: str) -> None:
    st2.post(f"{HOST}{PATH}", status=201, body=body)

    with pytest.raises(StackStormUnavailable, match="the response has no execution") as caught:
        run()

    assert caught.value.may_have_been_sent is True


def test_the_request_equals_the_recorded_one(st2: responses.RequestsMock) -> None:
    add_response(st2, "post-execution-trace-tag-201")

    run()

    request = st2.calls[0].request
    assert json.loads(request.body or "") == recording("post-execution-trace-tag-201").sent
    assert request.headers["St2-Api-Key"] == KEY
    assert request.headers["Content-Type"] == "application/json"
    assert "Authorization" not in request.headers


def test_a_notification_is_requested_with_its_data(st2: responses.RequestsMock) -> None:
    add_response(st2, "post-execution-with-notify-201")
    tag = recording("post-execution-with-notify-201").sent["context"]["trace_context"]["trace_tag"]

    run(trace_tag=tag, notify_data={"trace_tag": "client-0001"})

    notify = json.loads(st2.calls[0].request.body or "")["notify"]["on-complete"]
    assert notify["routes"] == ["poundcake"]
    assert notify["data"] == {"trace_tag": "client-0001"}
    assert set(notify) == set(
        recording("post-execution-with-notify-201").sent["notify"]["on-complete"]
    )


@pytest.mark.parametrize("tag", ["", "two words", "a:b", "{{ st2kv.system.x }}", "a\n"])
def test_an_invalid_trace_tag_is_refused(tag: str) -> None:
    with pytest.raises(ValueError, match="a trace tag has only"):
        run(trace_tag=tag)


def test_parameters_that_are_not_json_are_refused_before_sending() -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        run(parameters={"ratio": float("nan")})
