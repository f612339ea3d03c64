"""A client that asks for it with `notify` is told the end of its executions."""

import json
import queue
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from st2_sandbox import Sandbox, SandboxOptions

from .client import API_KEY, Client
from .recordings import recordings

NOTIFY = {"on-complete": {"routes": ["poundcake"], "message": "m", "data": {"trace_tag": "t"}}}


class Receiver:
    """An HTTP server that keeps what it is POSTed."""

    def __init__(self) -> None:
        self.calls: queue.Queue[tuple[str, dict[str, str], Any]] = queue.Queue()
        self.status = 200
        calls, status = self.calls, lambda: self.status

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                calls.put((self.path, dict(self.headers.items()), json.loads(body)))
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


def test_the_end_is_told_as_it_was_recorded(client: Client, receiver: Receiver) -> None:
    recorded = recordings()["callback-from-rule-notify"]

    made = client.post("core.local", {"cmd": "x"}, notify=NOTIFY)
    path, headers, body = receiver.calls.get(timeout=10)

    assert path == "/hook?a=1"
    assert headers["Authorization"] == "Basic c3RhY2tzdG9ybTpzZWNyZXQ="
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
    while client.get("/v1/executions/last")["status"] != "failed":
        pass

    client.sandbox.configure(callback_url=good)
    last = client.post("core.local", {"cmd": "x"}, notify=NOTIFY)

    told = [receiver.calls.get(timeout=10)[2]["execution_id"]]
    if told != [last["id"]]:
        told.append(receiver.calls.get(timeout=10)[2]["execution_id"])
    assert told[-1] == last["id"]


TAG = {"trace_context": {"trace_tag": "tag-1"}}
BY_TAG = "/v1/executions?filter=context.trace_context.trace_tag:tag-1"


def ended_report(client: Client, original: Any) -> Any:
    """Return the execution that reported the end of another, once it has ended itself."""
    for _ in range(500):
        reports = [one for one in client.get(BY_TAG) if one["id"] != original["id"]]
        if reports and reports[0]["status"] in ("succeeded", "failed"):
            return reports[0]
        time.sleep(0.01)
    raise AssertionError("no report has ended")


@pytest.mark.parametrize(
    ("answer", "recorded"),
    [
        (200, "callback-execution-core-http"),
        (401, "callback-refused-execution-core-http"),
    ],
)
def test_a_callback_is_an_execution_with_the_tag_of_the_one_that_it_reports(
    answer: int, recorded: str, client: Client, receiver: Receiver
) -> None:
    receiver.status = answer
    expected = recordings()[recorded].body

    made = client.post("core.local", {"cmd": "x"}, context=TAG, notify=NOTIFY)
    report = ended_report(client, made)

    assert report["status"] == expected["status"]
    assert report.keys() == expected.keys()
    for name in ("context", "parameters", "result", "liveaction", "action", "runner"):
        assert report[name].keys() == expected[name].keys(), name
    assert [entry["status"] for entry in report["log"]] == [
        entry["status"] for entry in expected["log"]
    ]
    assert report["context"]["trace_context"]["trace_tag"] == "tag-1"
    assert report["parameters"]["password"] == "********"
    assert json.loads(report["parameters"]["body"])["execution_id"] == made["id"]
    assert report["result"]["status_code"] == answer


def test_the_executions_of_rules_are_filtered_by_their_rule(
    client: Client, receiver: Receiver
) -> None:
    made = client.post("core.local", {"cmd": "x"}, context=TAG, notify=NOTIFY)
    report = ended_report(client, made)

    assert [one["id"] for one in client.get(f"{BY_TAG}&rule=null")] == [made["id"]]
    assert [one["id"] for one in client.get(f"{BY_TAG}&rule=notify_poundcake")] == [report["id"]]
    assert len(client.get(f"{BY_TAG}&parent=null")) == 2
    instance = report["trigger_instance"]["id"]
    found = client.get(f"/v1/executions?trigger_instance={instance}")
    assert [one["id"] for one in found] == [report["id"]]
    assert client.sandbox.started_twice() == []
    [trace] = client.get("/v1/traces?trace_tag=tag-1")
    causes = [one["caused_by"].get("type") for one in trace["action_executions"]]
    assert causes == [None, "rule"]


def test_failures_have_routes_of_their_own(client: Client, receiver: Receiver) -> None:
    notify = {
        "on-success": {"routes": ["good"]},
        "on-failure": {"routes": ["bad", "worse"]},
    }

    client.post("core.local", {"cmd": "sandbox:failed"}, notify=notify)

    assert [receiver.calls.get(timeout=10)[2]["route"] for _time in range(2)] == ["bad", "worse"]
