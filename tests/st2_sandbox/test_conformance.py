"""Replay recorded requests against the sandbox and compare its responses with the recordings."""

import re
from typing import Any

import pytest

from .client import BASIC_AUTH, Client, Clock, Response
from .comparison import comparable, comparable_headers
from .recordings import Recording, ReplaySetup, recordings

CLIENT_ENDPOINTS = re.compile(r"(executions|traces|actions|user|packs|tokens)(/.*)?|")
RECORDED_TOKEN = "0123456789abcdef0123456789abcdef"
EXPIRED_TOKEN = "22222222222222222222222222222222"

# Recordings that are not replayed here, by name or by prefix (with a trailing "-"), and the reason.
EXCLUDED = {
    "children-": "no recording shows their workflow; get-execution-children is the same request",
    "ghost-begun-while-deleted-execution": "needs a race between the scheduler and a DELETE;"
    " covered by test_lookup_gives_up",
    "rbac-": "the sandbox has a single user with all permissions, like StackStorm without RBAC",
    "sse-": "the event stream; covered by test_stream",
    "post-re-run-": "needs a re-run; covered by test_reruns",
    "rerun-by-context-ref": "needs a re-run; covered by test_reruns",
    "rerun-of-execution-with-notify-201": "needs a re-run; covered by test_reruns",
    "rerun-failed-task-": "covered by test_reruns with a workflow of the sandbox",
    "rerun-whole-workflow-": "covered by test_reruns with a workflow of the sandbox",
    "rerun-tasks-": "covered by test_reruns with a workflow of the sandbox",
    "rerun-task-": "covered by test_reruns with a workflow of the sandbox",
    "rerun-reset-not-in-tasks": "covered by test_reruns with a workflow of the sandbox",
    "rerun-of-succeeded-with-tasks": "covered by test_reruns with a workflow of the sandbox",
    "rerun-of-succeeded-with-tasks-execution": "covered by test_reruns with a workflow of the"
    " sandbox",
    "rerun-original-failed": "the execution before its re-run; the same as failure-workflow",
    "rerun-action-chain-with-tasks": "no pack of the sandbox contains this action chain",
    "callback-execution-core-http": "needs a server that receives callbacks; covered by"
    " test_callbacks",
    "callback-refused-execution-core-http": "needs a server that receives callbacks; covered by"
    " test_callbacks",
    "callback-executions-by-trace-tag-whole": "needs a server that receives callbacks; covered by"
    " test_callbacks",
    "callback-original-get": "an execution with notify; covered by test_callbacks",
    "callback-workflow-": "covered by test_callbacks with an action of the sandbox",
    "post-packs-": "the sandbox does not install packs",
    "packs-get-after-install": "the sandbox does not install packs; covered by"
    " test_stackstorm_pack",
    "packs-install-": "the sandbox does not install packs; covered by test_stackstorm_pack",
    "packs-uninstall-": "the sandbox does not uninstall packs",
    "changed-action-register": "the sandbox does not register packs; tests reconfigure the actions",
    "changed-action-rerun-of-old-201": "needs a re-run; covered by test_changed_actions",
    "changed-definition-": "the sandbox has no definition files; workflow tasks are configured",
    "definition-missing-": "the sandbox has no definition files; the result is covered by"
    " test_results",
    "get-actions-entry-point": "the sandbox has no entry point files",
    "get-pack-views-file": "the sandbox has no pack files",
    "get-actions-offset": "recorded with 186 actions, the sandbox has fewer; covered by"
    " test_changed_actions",
    "put-execution-pausing": "pausing is not implemented; PoundCake cancels and never pauses",
    "put-execution-resuming": "pausing is not implemented",
    "get-execution-paused": "only an inquiry pauses a workflow in the sandbox, a user cannot",
    "get-execution-resumed-succeeded": "pausing is not implemented",
    "inquiry-": "each request depends on the one before; covered by test_inquiries",
    "get-execution-after-inquiry": "like inquiry-workflow-after-answer; covered by test_inquiries",
    "get-execution-core-ask-answered": "like inquiry-in-workflow-answered; covered by"
    " test_inquiries",
    "get-execution-core-ask-top-level-answered": "like inquiry-plain-answered; covered by"
    " test_inquiries",
    "get-execution-action-chain": "no pack of the sandbox contains this action chain",
    "get-execution-pack-install-failed": "the sandbox does not install packs",
    "get-executions-views-filters": "only StackStorm's web UI uses this view",
    "auth-tokens-validate-": "only services that receive tokens validate them, clients do not",
    "api-disabled-key-401": "the sandbox cannot disable its API key; an unknown key is a 401 too",
    "failure-": "the sandbox returns results as configured; covered by test_results",
    "output-": "PoundCake does not use the output endpoint; results are covered by test_results",
    "get-execution-max-result-size": "the recorded result is large; covered by test_api",
    "get-execution-output-running": "the sandbox runs no command, so there is no partial output",
    "get-root": "the sandbox identifies itself at its root; covered by test_server",
    "nginx-plain-http-308": "the sandbox has no TLS, so it does not redirect to https",
    "nginx-400-ids-414": "nginx's limit is above st2api's limit, which the sandbox implements",
    "nginx-post-execution-after-broker-restart-500": "one 500 that leaves a ghost is enough:"
    " post-execution-rabbit-down",
}
OPTIONS: dict[str, dict[str, Any]] = {
    "nginx-api-down-503": {"unavailable": True},
    "post-execution-rabbit-down": {"ghost_rate": 1.0},
    "rabbit-down-delete-ghost": {"broker_down": True},
    "rabbit-down-post-execution-500": {"broker_down": True},
}


def matches(name: str, pattern: str) -> bool:
    return name == pattern or (pattern.endswith("-") and name.startswith(pattern))


def is_excluded(name: str) -> bool:
    return any(matches(name, one) for one in EXCLUDED)


def recordings_of_client_endpoints() -> list[str]:
    return [name for name, one in recordings().items() if CLIENT_ENDPOINTS.fullmatch(one.resource)]


REPLAYED = [name for name in recordings_of_client_endpoints() if not is_excluded(name)]


@pytest.mark.parametrize("name", REPLAYED)
def test_a_recorded_request_gets_the_recorded_response(
    name: str, client: Client, clock: Clock
) -> None:
    recording = recordings()[name]
    setup = ReplaySetup(client, clock.advance)
    setup.prepare(recording)
    client.sandbox.configure(**{"outcomes": {}, **OPTIONS.get(name, {})})

    response = replay(recording, setup, client, clock)

    assert response.status == recording.status, response.body
    assert comparable(response.body) == comparable(recording.body)
    assert comparable_headers(response.headers) == comparable_headers(recording.response_headers)


def test_every_exclusion_matches_a_recording() -> None:
    names = recordings_of_client_endpoints()

    unused = [one for one in EXCLUDED if not any(matches(name, one) for name in names)]

    assert unused == []


def test_most_recordings_are_replayed() -> None:
    assert len(REPLAYED) > 150


def replay(recording: Recording, setup: ReplaySetup, client: Client, clock: Clock) -> Response:
    path = setup.replace_ids(recording.path)
    headers = {
        name: value
        for name, value in recording.request_headers.items()
        if name not in ("Host", "Content-Length")
    }
    token = new_token(client, clock, is_expired=headers.get("X-Auth-Token") == EXPIRED_TOKEN)
    if headers.get("X-Auth-Token") in (RECORDED_TOKEN, EXPIRED_TOKEN):
        headers["X-Auth-Token"] = token
    path = path.replace(RECORDED_TOKEN, token)
    return client.call(recording.method, path, request_body(recording), headers)


def new_token(client: Client, clock: Clock, *, is_expired: bool) -> str:
    response = client.call("POST", "/auth/v1/tokens", {"ttl": 60}, BASIC_AUTH)
    clock.advance(61 if is_expired else 0)
    return str(response.body.get("token"))


def request_body(recording: Recording) -> Any:
    body = recording.request_body
    if not isinstance(body, str):
        return body
    size = re.fullmatch(r"<(\d+) bytes of JSON>", body)
    return b" " * int(size[1]) if size else body.encode()
