"""Every recorded request of the endpoints that a client calls is answered as it was recorded."""

import re
from typing import Any

import pytest

from .client import Client, Clock, Reply
from .recordings import Recording, Stage, recordings

ENDPOINTS = re.compile(r"(executions|traces|actions|user|packs|tokens)(/.*)?|")
RECORDED_TOKEN = "0123456789abcdef0123456789abcdef"
EXPIRED_TOKEN = "22222222222222222222222222222222"

# What is not replayed, by name or by the beginning of a name, and why.
LEFT_OUT = {
    "children-": "no recording shows their workflow; get-execution-children is the same request",
    "ghost-begun-while-deleted-execution": "a moment of a race between the scheduler and a DELETE:"
    " test_lookup_end",
    "rbac-": "the sandbox has one user, who may do everything, as StackStorm without RBAC",
    "sse-": "the stream: test_stream",
    "post-re-run-": "an execution has to be run again: test_reruns",
    "rerun-by-context-ref": "an execution has to be run again: test_reruns",
    "rerun-of-execution-with-notify-201": "an execution has to be run again: test_reruns",
    "rerun-failed-task-": "with a workflow of the sandbox: test_reruns",
    "rerun-whole-workflow-": "with a workflow of the sandbox: test_reruns",
    "rerun-tasks-": "with a workflow of the sandbox: test_reruns",
    "rerun-task-": "with a workflow of the sandbox: test_reruns",
    "rerun-reset-not-in-tasks": "with a workflow of the sandbox: test_reruns",
    "rerun-of-succeeded-with-tasks": "with a workflow of the sandbox: test_reruns",
    "rerun-of-succeeded-with-tasks-execution": "with a workflow of the sandbox: test_reruns",
    "rerun-original-failed": "what it looks like before it is run again: failure-workflow",
    "rerun-action-chain-with-tasks": "this chain is in no pack of the sandbox",
    "callback-execution-core-http": "a client has to be called: test_callbacks",
    "callback-refused-execution-core-http": "a client has to be called: test_callbacks",
    "callback-executions-by-trace-tag-whole": "a client has to be called: test_callbacks",
    "callback-original-get": "it was launched with notify: test_callbacks",
    "callback-workflow-": "with an action of the sandbox: test_callbacks",
    "post-packs-": "packs are installed by people",
    "packs-get-after-install": "packs are installed by people: test_stackstorm_pack",
    "packs-install-": "packs are installed by people: test_stackstorm_pack",
    "packs-uninstall-": "packs are installed by people",
    "changed-action-register": "packs are installed by people; a test configures actions anew",
    "changed-action-rerun-of-old-201": "an execution has to be run again: test_changed_actions",
    "changed-definition-": "the sandbox has no files: a workflow's tasks are configured",
    "definition-missing-": "the sandbox has no files: a workflow's tasks are configured",
    "get-actions-entry-point": "the sandbox has no files",
    "get-pack-views-file": "the sandbox has no files",
    "get-actions-offset": "recorded with 186 actions, the sandbox has fewer: test_changed_actions",
    "put-execution-pausing": "pause is not played; PoundCake cancels, it does not pause",
    "put-execution-resuming": "pause is not played",
    "get-execution-paused": "pause by a person is not played; by an inquiry it is",
    "get-execution-resumed-succeeded": "pause is not played",
    "inquiry-": "each follows from the one before: test_inquiries",
    "get-execution-after-inquiry": "as inquiry-workflow-after-answer: test_inquiries",
    "get-execution-core-ask-answered": "as inquiry-in-workflow-answered: test_inquiries",
    "get-execution-core-ask-top-level-answered": "as inquiry-plain-answered: test_inquiries",
    "get-execution-action-chain": "this chain is in no pack of the sandbox",
    "get-execution-pack-install-failed": "packs are installed by people",
    "get-executions-views-filters": "a view of StackStorm's own web page",
    "auth-tokens-validate-": "a service that gets a token asks this; a client has its own",
    "api-disabled-key-401": "the sandbox's key cannot be disabled; an unknown key is a 401 too",
    "failure-": "results of any shape are played when they are asked for: test_results",
    "output-": "PoundCake does not ask for the output; the results among them: test_results",
    "definition-missing-on-disk-": "StackStorm's disk is not played; its result: test_results",
    "changed-definition-on-disk-": "StackStorm's disk is not played: a definition stays as it is",
    "get-execution-max-result-size": "the recorded result is large: test_api",
    "get-execution-output-running": "a command that is not executed prints nothing while it runs",
    "get-root": "the sandbox says there that it is one: test_server",
    "nginx-plain-http-308": "the sandbox speaks plain http",
    "nginx-400-ids-414": "nginx's limit, beyond that of st2api, which is played",
    "nginx-post-execution-after-broker-restart-500": "one 500 that leaves a ghost is played: "
    "post-execution-rabbit-down",
}
OPTIONS = {
    "nginx-api-down-503": {"unavailable": True},
    "post-execution-rabbit-down": {"ghost_rate": 1.0},
    "rabbit-down-delete-ghost": {"broker_down": True},
    "rabbit-down-post-execution-500": {"broker_down": True},
}


def matches(name: str, left_out: str) -> bool:
    return name == left_out or (left_out.endswith("-") and name.startswith(left_out))


def is_left_out(name: str) -> bool:
    return any(matches(name, one) for one in LEFT_OUT)


def of_our_endpoints() -> list[str]:
    return [name for name, one in recordings().items() if ENDPOINTS.fullmatch(one.resource)]


REPLAYED = [name for name in of_our_endpoints() if not is_left_out(name)]


@pytest.mark.parametrize("name", REPLAYED)
def test_a_recorded_request_is_answered_as_recorded(
    name: str, client: Client, clock: Clock
) -> None:
    recording = recordings()[name]
    stage = Stage(client, clock.advance)
    stage.set(recording)
    client.sandbox.configure(**{"outcomes": {}, **OPTIONS.get(name, {})})

    reply = replay(recording, stage, client, clock)

    assert reply.status == recording.status, reply.body
    assert described(reply.body) == described(recording.body)
    assert headers_of(reply.headers) == headers_of(recording.answer_headers)


def test_what_is_left_out_would_be_replayed_otherwise() -> None:
    ours = of_our_endpoints()

    unused = [one for one in LEFT_OUT if not any(matches(name, one) for name in ours)]

    assert unused == []


def test_recordings_are_replayed_in_good_number() -> None:
    assert len(REPLAYED) > 150


def replay(recording: Recording, stage: Stage, client: Client, clock: Clock) -> Reply:
    path = stage.translate(recording.path)
    headers = {
        name: value
        for name, value in recording.headers.items()
        if name not in ("Host", "Content-Length")
    }
    token = bought_token(client, clock, is_expired=headers.get("X-Auth-Token") == EXPIRED_TOKEN)
    if headers.get("X-Auth-Token") in (RECORDED_TOKEN, EXPIRED_TOKEN):
        headers["X-Auth-Token"] = token
    path = path.replace(RECORDED_TOKEN, token)
    return client.call(recording.method, path, body_of(recording), headers)


def bought_token(client: Client, clock: Clock, *, is_expired: bool) -> str:
    basic = {"Authorization": "Basic c3QyYWRtaW46Q2hAbmdlTWU="}
    reply = client.call("POST", "/auth/v1/tokens", {"ttl": 60}, basic)
    clock.advance(61 if is_expired else 0)
    return str(reply.body.get("token"))


def body_of(recording: Recording) -> Any:
    sent = recording.sent
    if not isinstance(sent, str):
        return sent
    size = re.fullmatch(r"<(\d+) bytes of JSON>", sent)
    return b" " * int(size[1]) if size else sent.encode()


def described(body: Any) -> Any:
    """Return what has to be the same: error texts, and of anything else its keys."""
    if isinstance(body, dict) and "faultstring" in body:
        return normalized(body["faultstring"])
    if isinstance(body, dict):
        return {"": sorted(body)} | inside(body)
    if isinstance(body, list):
        return sorted({str(described(row)) for row in body})
    if body in ("start\n", "start\nend\n"):
        return "text"  # what the recorded command printed; the sandbox prints its notice
    if isinstance(body, str) and "\n" in body:
        return "text" if "<html>" not in body else "page"
    return body


def inside(body: dict[str, Any]) -> dict[str, Any]:
    """Return what else has to be the same in an execution."""
    if "liveaction" not in body:
        return {}
    parts = {name: sorted(body[name]) for name in ("action", "runner", "liveaction", "context")}
    log = [entry["status"] for entry in body["log"]]
    return parts | {
        "status": body["status"],
        "log": log,
        "runs": body["liveaction"]["runner_info"].keys(),
    }


def normalized(text: str) -> str:
    text = re.sub(r"\b[0-9a-f]{24}\b", "ID", text)
    text = re.sub(r"0x[0-9a-f]+", "0x", text)
    text = re.sub(r"key_hash=[0-9a-f]{128}", "key_hash=HASH", text)
    return re.sub(r"(request body: )(?!Unsupported).*", r"\1(the parser's words)", text)


def headers_of(headers: dict[str, str]) -> dict[str, str]:
    """Return the headers that a client reads; counts depend on what happened before."""
    kept = {
        name: headers[name] for name in ("Content-Type", "X-Limit", "X-API-URL") if name in headers
    }
    if "X-Total-Count" in headers:
        kept["X-Total-Count"] = "some"
    if "X-API-URL" in kept:
        kept["X-API-URL"] = "some"
    return kept
