"""The bench's stub answers as the recordings of a real StackStorm do."""

import json
import re
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from queue import Queue
from threading import Thread
from typing import Any
from urllib.parse import urlencode

import pytest
import requests

from tests.st2_sandbox.recordings import OBJECT_ID, Recording, recordings
from tools.bench import API_KEY
from tools.bench.load import Webhook
from tools.bench.played import RECORDINGS
from tools.bench.stack import StubProcess, stub_started
from tools.bench.stub import BANNER
from tools.bench.telling import CREATE, UPDATE

SECONDS = 0.5  # that an execution takes
RECORDED_KEY = "VEVTVEtFWV9URVNUS0VZX1RFU1RLRVlfVEVTVEtFWQ"
PATIENCE_SECONDS = 20.0

# What depends on nothing that happened before is answered word for word.
ALONE = (
    "api-no-credentials-401",
    "delete-execution-unknown-404",
    "get-execution-malformed-id-404",
    "get-execution-unknown-404",
    "get-executions-by-150-ids",
    "get-executions-by-170-ids-line-too-long",
    "get-executions-by-malformed-id-400",
    "get-executions-filter-unknown-field-400",
    "get-executions-include-elapsed-seconds-400",
    "get-user",
    "post-execution-no-action-400",
    "post-execution-no-credentials-401",
    "post-execution-unknown-action-400",
    "post-execution-wrong-key-401",
    "unknown-path-404",
)


@pytest.fixture(scope="module")
def running_stub():
    with stub_started(latency=0.0, duration=SECONDS) as stub:
        yield stub


@pytest.fixture
def stub(running_stub):
    running_stub.reset()
    return running_stub


def sent(stub: StubProcess, method: str, path: str, body: Any = None) -> requests.Response:
    return stub.session.request(method, f"{stub.url}{path}", json=body, timeout=10)


def began(stub: StubProcess, name: str = "post-execution-trace-tag-201") -> Any:
    """Start what a recording started."""
    return sent(stub, "POST", "/v1/executions", recordings()[name].sent).json()


def once(stub: StubProcess, one: str, status: str) -> Any:
    """Return an execution as soon as it is so far."""
    until = time.monotonic() + PATIENCE_SECONDS
    while (view := sent(stub, "GET", f"/v1/executions/{one}").json())["status"] != status:
        assert time.monotonic() < until, view
        time.sleep(0.02)
    return view


def replayed(stub: StubProcess, recording: Recording, **ids: str) -> requests.Response:
    """Send what was recorded, with our ids in place of those."""
    path = OBJECT_ID.sub(lambda found: ids.get(found[0], found[0]), recording.path)
    headers = {k: v for k, v in recording.headers.items() if k not in ("Host", "Content-Length")}
    if headers.get("St2-Api-Key") == RECORDED_KEY:
        headers["St2-Api-Key"] = API_KEY
    return requests.request(
        recording.method, f"{stub.url}{path}", json=recording.sent, headers=headers, timeout=10
    )


def shape(value: Any) -> Any:
    """Return the keys of an execution and of what is in it, and its words."""
    inner = ("action", "runner", "liveaction", "context", "result")
    parts = {name: sorted(value[name]) for name in inner if name in value}
    return sorted(value), parts, value["status"], [entry["status"] for entry in value["log"]]


def words(body: Any) -> Any:
    """Return an answer without the hash of a key: those of the recordings are made up."""
    return json.loads(re.sub(r"key_hash=[0-9a-f]{128}", "key_hash=HASH", json.dumps(body)))


@pytest.mark.parametrize("name", ALONE)
def test_what_needs_nothing_is_answered_as_recorded(stub, name):
    recording = recordings()[name]

    answer = replayed(stub, recording)

    assert answer.status_code == recording.status
    kind = answer.headers["Content-Type"].partition(";")[0]
    assert kind == recording.answer_headers["Content-Type"].partition(";")[0]
    assert words(answer.json() if kind.endswith("json") else answer.text) == words(recording.body)


@pytest.mark.parametrize(
    "name", ["post-execution-201", "post-execution-trace-tag-201", "post-execution-with-notify-201"]
)
def test_a_launch_is_answered_with_the_recorded_keys(stub, name):
    recording = recordings()[name]

    answer = replayed(stub, recording)

    assert answer.status_code == 201
    assert shape(answer.json()) == shape(recording.body)
    assert answer.json()["parameters"] == recording.body["parameters"]
    assert answer.json()["context"] == recording.body["context"]


@pytest.mark.parametrize(
    ("name", "status"),
    [("get-execution-running", "running"), ("get-execution-succeeded", "succeeded")],
)
def test_an_execution_runs_by_itself_and_is_shown_as_recorded(stub, name, status):
    one = began(stub, "post-execution-201")["id"]

    view = once(stub, one, status)

    assert shape(view) == shape(recordings()[name].body)


def test_a_list_by_ids_has_the_attributes_asked_for_newest_first(stub):
    recording = recordings()["get-executions-by-ids-batch"]
    ours = [began(stub)["id"] for _ in recording.body]
    for one in ours:
        once(stub, one, "succeeded")
    ids = dict(zip(reversed([row["id"] for row in recording.body]), ours, strict=True))

    answer = replayed(stub, recording, **ids)

    assert [row["id"] for row in answer.json()] == ours[::-1]
    assert [sorted(row) for row in answer.json()] == [sorted(row) for row in recording.body]
    for header in ("X-Total-Count", "X-Limit"):
        assert answer.headers[header] == recording.answer_headers[header]


@pytest.mark.parametrize(
    "name", ["get-executions-by-ids-one-unknown", "get-executions-by-ids-repeated-param"]
)
def test_unknown_ids_are_missing_and_of_repeated_ones_the_last_counts(stub, name):
    recording = recordings()[name]
    ids = dict.fromkeys(OBJECT_ID.findall(recording.path))
    ids = {one: began(stub)["id"] for one in ids}

    answer = replayed(stub, recording, **ids)

    assert [row["id"] for row in answer.json()] == [ids[row["id"]] for row in recording.body]
    assert [sorted(row) for row in answer.json()] == [sorted(row) for row in recording.body]


def test_an_unknown_parameter_is_ignored(stub):
    recording = recordings()["get-executions-unknown-query-param-is-ignored"]
    for _ in range(3):
        began(stub, "post-execution-201")

    answer = replayed(stub, recording)

    assert len(answer.json()) == len(recording.body)
    assert sorted(answer.json()[0]) == sorted(recording.body[0])


def test_attributes_without_a_value_are_left_out(stub):
    one = began(stub)["id"]
    query = urlencode(
        {"id": one, "include_attributes": "status,start_timestamp,end_timestamp,result"}
    )

    [early] = sent(stub, "GET", f"/v1/executions?{query}").json()
    whole = once(stub, one, "succeeded")
    [late] = sent(stub, "GET", f"/v1/executions?{query}").json()

    assert sorted(early) == ["id", "start_timestamp", "status"]
    assert late == {name: whole[name] for name in (*early, "end_timestamp", "result")}


def test_a_page_has_a_hundred(stub):
    ids = [began(stub)["id"] for _ in range(101)]

    answer = sent(stub, "GET", f"/v1/executions?id={','.join(ids)}&include_attributes=status")

    assert len(answer.json()) == 100
    assert answer.headers["X-Total-Count"] == "101"


def test_an_execution_is_found_by_its_trace_tag(stub):
    recording = recordings()["get-executions-filter-trace-tag"]
    began(stub, "post-execution-201")
    one = began(stub, "post-execution-trace-tag-201")["id"]
    once(stub, one, "succeeded")

    answer = replayed(stub, recording)

    [row], [recorded] = answer.json(), recording.body
    assert row | {"id": "", "start_timestamp": ""} == recorded | {"id": "", "start_timestamp": ""}
    assert row["id"] == one


def test_a_running_execution_is_canceled_and_comes_to_its_end(stub):
    recording = recordings()["delete-execution-running"]
    one = began(stub, "post-execution-201")["id"]
    once(stub, one, "running")

    answer = replayed(stub, recording, **{recording.body["id"]: one})

    assert shape(answer.json()) == shape(recording.body)
    assert shape(once(stub, one, "canceled")) == shape(recordings()["get-execution-canceled"].body)


def test_what_has_ended_is_not_canceled(stub):
    recording = recordings()["delete-execution-already-succeeded"]
    one = began(stub, "post-execution-201")["id"]
    once(stub, one, "succeeded")

    answer = replayed(stub, recording, **{OBJECT_ID.findall(recording.path)[0]: one})

    assert (answer.status_code, answer.json()) == (recording.status, recording.body)


def test_nothing_has_children(stub):
    one = began(stub)["id"]

    assert sent(stub, "GET", f"/v1/executions/{one}/children").json() == []


def test_actions_are_shown_with_what_their_runner_takes(stub):
    recorded = recordings()["get-action-overview-core-local"].body

    local = sent(stub, "GET", "/v1/actions/views/overview/core.local").json()
    ours = sent(stub, "GET", "/v1/actions/views/overview/bench.step3").json()
    unknown = sent(stub, "GET", "/v1/actions/views/overview/core.nope")

    assert local | {"id": ""} == recorded | {"id": ""}
    assert sorted(ours) == sorted(recorded)
    assert (ours["ref"], ours["runner_type"]) == ("bench.step3", "local-shell-cmd")
    assert {"hosts", "timeout"} <= set(ours["parameters"])
    assert unknown.status_code == 404
    assert unknown.json() == recordings()["get-action-unknown-404"].body


def test_it_says_that_it_is_a_fake(stub):
    version = sent(stub, "GET", "/v1/").json()

    assert sorted(version) == sorted(recordings()["get-root"].body)
    assert "fake" in version["version"]
    assert "fake" in BANNER


def events(text: str) -> list[tuple[str, Any]]:
    found = re.findall(r"event: (\S+)\ndata: (.*)\n\n", text)
    return [(name, json.loads(data)) for name, data in found]


def test_the_stream_tells_each_move_as_recorded(stub):
    path = f"{stub.url}/stream/v1/stream?events={CREATE},{UPDATE}"
    with stub.session.get(path, stream=True, timeout=PATIENCE_SECONDS) as answer:
        one = began(stub, "post-execution-201")["id"]
        text = ""
        for piece in answer.iter_content(chunk_size=None):
            text += piece.decode()
            told = [(name, view) for name, view in events(text) if view["id"] == one]
            if told and told[-1][1]["status"] == "succeeded":
                break

    assert answer.headers["Content-Type"] == "text/event-stream; charset=UTF-8"
    assert text[0] == "\n"
    recorded = events(
        json.loads((RECORDINGS / "sse-stream-executions.json").read_text())["response"]["body"]
    )
    assert [(name, shape(view)) for name, view in told] == [
        (name, shape(view)) for name, view in recorded
    ]


def test_the_stream_is_refused_without_a_key(stub):
    answer = requests.get(f"{stub.url}/stream/v1/stream", timeout=10)

    assert answer.status_code == 401


def test_the_report_tells_what_was_asked_and_begun(stub):
    before = time.monotonic()
    body = {
        "action": "bench.step1",
        "parameters": {"hosts": "node-0123456789abcdef"},
        "context": {"trace_context": {"trace_tag": "tag-1"}},
    }
    one = sent(stub, "POST", "/v1/executions", body).json()["id"]
    sent(stub, "GET", f"/v1/executions/{one}")
    sent(stub, "GET", f"/v1/executions?id={one}")

    report = stub.report()

    [execution] = report["executions"]
    assert (execution["id"], execution["ref"]) == (one, "bench.step1")
    assert execution["trace_tag"] == "tag-1"
    assert execution["fingerprint"] == "0123456789abcdef"
    assert before <= execution["began"] <= time.monotonic()
    assert execution["ended"] - execution["began"] == pytest.approx(SECONDS)
    assert {name: report["calls"][name] for name in ("post", "get", "list")} == {
        "post": 1,
        "get": 1,
        "list": 1,
    }


class Receiver(HTTPServer):
    """Stands where PoundCake takes callbacks; keeps what is posted to it."""

    def __init__(self) -> None:
        self.received: Queue[tuple[dict[str, str], Any]] = Queue()
        super().__init__(("127.0.0.1", 0), ReceiverHandler)


class ReceiverHandler(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.received.put((dict(self.headers), body))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *arguments: object) -> None:
        pass


@pytest.fixture
def receiver():
    with Receiver() as server:
        Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}).start()
        yield server
        server.shutdown()


def test_it_calls_back_at_the_end_as_recorded(stub, receiver):
    recorded = json.loads((RECORDINGS / "callback-from-rule-notify.json").read_text())["request"]
    stub.reset(callback=Webhook(f"http://127.0.0.1:{receiver.server_port}/", "secret"))

    one = began(stub, "post-execution-with-notify-201")["id"]

    headers, body = receiver.received.get(timeout=PATIENCE_SECONDS)
    assert headers["Authorization"] == "Bearer secret"
    for name in ("User-Agent", "X-Stanley-Action", "Content-Type"):
        assert headers[name] == recorded["headers"][name]
    assert sorted(body) == sorted(recorded["body"])
    assert sorted(body["data"]) == sorted(recorded["body"]["data"])
    same = ("message", "action_ref", "runner_ref", "status", "route", "channel")
    assert {name: body[name] for name in same} == {name: recorded["body"][name] for name in same}
    assert body["execution_id"] == one
    assert re.sub(r"\d", "0", body["end_timestamp"]) == re.sub(
        r"\d", "0", recorded["body"]["end_timestamp"]
    )
