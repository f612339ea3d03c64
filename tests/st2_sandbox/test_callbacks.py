"""Callbacks: the sandbox reports the end of executions that were started with ``notify``."""

import json
import queue
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from st2_sandbox import Sandbox, SandboxOptions

from .client import API_KEY, BY_TRACE_TAG, TRACE_CONTEXT, Client
from .recordings import recordings

NOTIFY = {"on-complete": {"routes": ["poundcake"], "message": "m", "data": {"trace_tag": "t"}}}


class Receiver:
    """An HTTP server that records the POST requests it receives."""

    def __init__(self) -> None:
        self.requests: queue.Queue[tuple[str, dict[str, str], Any]] = queue.Queue()
        self.status = 200
        requests, status = self.requests, lambda: self.status

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                requests.put((self.path, dict(self.headers.items()), json.loads(body)))
                self.send_response(status())
                self.end_headers()

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/hook?a=1"


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    receiver = Receiver()
    thread = threading.Thread(target=receiver.server.serve_forever, args=(0.05,))
    thread.start()
    yield receiver
    receiver.server.shutdown()
    receiver.server.server_close()
    thread.join()


@pytest.fixture
def client(receiver: Receiver) -> Iterator[Client]:
    options = SandboxOptions(
        duration_seconds=0.02, callback_url=receiver.url, callback_token="secret"
    )
    with Sandbox(api_key=API_KEY, options=options) as sandbox:
        yield Client(sandbox)


def test_a_callback_matches_the_recording(client: Client, receiver: Receiver) -> None:
    recorded = recordings()["callback-from-rule-notify"]

    made = client.post("core.local", {"cmd": "x"}, notify=NOTIFY)
    path, headers, body = receiver.requests.get(timeout=10)

    assert path == "/hook?a=1"
    assert headers["Authorization"] == "Basic c3RhY2tzdG9ybTpzZWNyZXQ="
    assert headers["X-Stanley-Action"] == recorded.request_headers["X-Stanley-Action"]
    assert sorted(body) == sorted(recorded.request_body)
    assert (body["execution_id"], body["status"]) == (made["id"], "succeeded")
    assert body["data"]["trace_tag"] == "t"
    assert json.loads(body["data"]["result"])["succeeded"] is True


def test_a_cancel_is_reported_instead_of_the_planned_end(
    client: Client, receiver: Receiver
) -> None:
    made = client.post("core.local", {"cmd": "sandbox:succeeded:60"}, notify=NOTIFY)

    client.call("DELETE", f"/v1/executions/{made['id']}")
    _path, _headers, body = receiver.requests.get(timeout=10)

    assert body["status"] == "canceled"


def test_no_callback_is_sent_without_notify(client: Client, receiver: Receiver) -> None:
    client.post("core.local", {"cmd": "x"})
    last = client.post("core.local", {"cmd": "y"}, notify=NOTIFY)

    _path, _headers, body = receiver.requests.get(timeout=10)

    assert body["execution_id"] == last["id"]


def test_a_lost_callback_does_not_block_the_next_one(client: Client, receiver: Receiver) -> None:
    client.sandbox.configure(callback_url="http://127.0.0.1:1/")
    client.post("core.local", {"cmd": "sandbox:succeeded:0"}, notify=NOTIFY)
    while client.get("/v1/executions/last")["status"] != "failed":
        pass

    client.sandbox.configure(callback_url=receiver.url)
    last = client.post("core.local", {"cmd": "x"}, notify=NOTIFY)

    reported = [receiver.requests.get(timeout=10)[2]["execution_id"]]
    if reported != [last["id"]]:
        reported.append(receiver.requests.get(timeout=10)[2]["execution_id"])
    assert reported[-1] == last["id"]


def wait_for_callback_execution(client: Client, original: Any) -> Any:
    """Wait until the execution that sends the callback for ``original`` ends; return it."""
    for _ in range(500):
        callbacks = [one for one in client.get(BY_TRACE_TAG) if one["id"] != original["id"]]
        if callbacks and callbacks[0]["status"] in ("succeeded", "failed"):
            return callbacks[0]
        time.sleep(0.01)
    raise AssertionError("no callback execution has ended")


@pytest.mark.parametrize(
    ("status", "recorded"),
    [
        (200, "callback-execution-core-http"),
        (401, "callback-refused-execution-core-http"),
    ],
)
def test_a_callback_is_an_execution_with_the_trace_tag_of_its_original(
    status: int, recorded: str, client: Client, receiver: Receiver
) -> None:
    receiver.status = status
    expected = recordings()[recorded].body

    made = client.post("core.local", {"cmd": "x"}, context=TRACE_CONTEXT, notify=NOTIFY)
    callback = wait_for_callback_execution(client, made)

    assert callback["status"] == expected["status"]
    assert callback.keys() == expected.keys()
    for name in ("context", "parameters", "result", "liveaction", "action", "runner"):
        assert callback[name].keys() == expected[name].keys(), name
    assert [entry["status"] for entry in callback["log"]] == [
        entry["status"] for entry in expected["log"]
    ]
    assert callback["context"]["trace_context"]["trace_tag"] == "tag-1"
    assert callback["parameters"]["password"] == "********"
    assert json.loads(callback["parameters"]["body"])["execution_id"] == made["id"]
    assert callback["result"]["status_code"] == status


def test_callback_executions_are_filtered_by_rule(client: Client, receiver: Receiver) -> None:
    made = client.post("core.local", {"cmd": "x"}, context=TRACE_CONTEXT, notify=NOTIFY)
    callback = wait_for_callback_execution(client, made)

    assert [one["id"] for one in client.get(f"{BY_TRACE_TAG}&rule=null")] == [made["id"]]
    assert [one["id"] for one in client.get(f"{BY_TRACE_TAG}&rule=notify_poundcake")] == [
        callback["id"]
    ]
    assert len(client.get(f"{BY_TRACE_TAG}&parent=null")) == 2
    instance = callback["trigger_instance"]["id"]
    found = client.get(f"/v1/executions?trigger_instance={instance}")
    assert [one["id"] for one in found] == [callback["id"]]
    assert client.sandbox.started_twice() == []
    [trace] = client.get("/v1/traces?trace_tag=tag-1")
    causes = [one["caused_by"].get("type") for one in trace["action_executions"]]
    assert causes == [None, "rule"]


def test_failures_use_the_routes_of_on_failure(client: Client, receiver: Receiver) -> None:
    notify = {
        "on-success": {"routes": ["good"]},
        "on-failure": {"routes": ["bad", "worse"]},
    }

    client.post("core.local", {"cmd": "sandbox:failed"}, notify=notify)

    assert [receiver.requests.get(timeout=10)[2]["route"] for _ in range(2)] == ["bad", "worse"]
