"""A client that asks for it with `notify` is told the end of its executions."""

import json
import queue
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from remediation.sandbox import Sandbox, SandboxOptions

from .client import API_KEY, Client
from .recordings import recordings

NOTIFY = {"on-complete": {"routes": ["poundcake"], "message": "m", "data": {"trace_tag": "t"}}}


class Receiver:
    """An HTTP server that keeps what it is POSTed."""

    def __init__(self) -> None:
        self.calls: queue.Queue[tuple[str, dict[str, str], Any]] = queue.Queue()
        calls = self.calls

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                calls.put((self.path, dict(self.headers.items()), json.loads(body)))
                self.send_response(200)
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


def test_the_end_is_told_as_it_was_recorded(client: Client, receiver: Receiver) -> None:
    recorded = recordings()["callback-from-rule-notify"]

    made = client.post("core.local", {"cmd": "x"}, notify=NOTIFY)
    path, headers, body = receiver.calls.get(timeout=10)

    assert path == "/hook?a=1"
    assert headers["Authorization"] == "Bearer secret"
    assert headers["X-Stanley-Action"] == recorded.headers["X-Stanley-Action"]
    assert sorted(body) == sorted(recorded.sent)
    assert (body["execution_id"], body["status"]) == (made["id"], "succeeded")
    assert body["data"]["trace_tag"] == "t"
    assert json.loads(body["data"]["result"])["succeeded"] is True


def test_a_cancel_is_an_end_and_what_was_planned_is_not_told(
    client: Client, receiver: Receiver
) -> None:
    made = client.post("core.local", {"cmd": "sandbox:succeeded:60"}, notify=NOTIFY)

    client.call("DELETE", f"/v1/executions/{made['id']}")
    _path, _headers, body = receiver.calls.get(timeout=10)

    assert body["status"] == "canceled"


def test_nobody_is_told_without_notify(client: Client, receiver: Receiver) -> None:
    client.post("core.local", {"cmd": "x"})
    last = client.post("core.local", {"cmd": "y"}, notify=NOTIFY)

    _path, _headers, body = receiver.calls.get(timeout=10)

    assert body["execution_id"] == last["id"]


def test_a_lost_callback_does_not_hinder_the_next(client: Client, receiver: Receiver) -> None:
    good = receiver.url
    client.sandbox.configure(callback_url="http://127.0.0.1:1/")
    client.post("core.local", {"cmd": "sandbox:succeeded:0"}, notify=NOTIFY)
    while client.get("/v1/executions/last")["status"] != "succeeded":
        pass

    client.sandbox.configure(callback_url=good)
    last = client.post("core.local", {"cmd": "x"}, notify=NOTIFY)

    told = [receiver.calls.get(timeout=10)[2]["execution_id"]]
    if told != [last["id"]]:
        told.append(receiver.calls.get(timeout=10)[2]["execution_id"])
    assert told[-1] == last["id"]


def test_failures_have_routes_of_their_own(client: Client, receiver: Receiver) -> None:
    notify = {
        "on-success": {"routes": ["good"]},
        "on-failure": {"routes": ["bad", "worse"]},
    }

    client.post("core.local", {"cmd": "sandbox:failed"}, notify=notify)

    assert [receiver.calls.get(timeout=10)[2]["route"] for _time in range(2)] == ["bad", "worse"]
