"""The event stream: an event for each status change, in the recorded format."""

import http.client
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest

from st2_sandbox import Sandbox, SandboxOptions
from st2_sandbox import stream as stream_module
from st2_sandbox.dispatcher import Listener
from st2_sandbox.state import SandboxState
from st2_sandbox.stream import Subscriber
from st2_sandbox.validation import ExecutionRequest

from .client import API_KEY, Client
from .recordings import recordings


@pytest.fixture
def client() -> Iterator[Client]:
    with Sandbox(api_key=API_KEY, options=SandboxOptions(duration_seconds=0.05)) as sandbox:
        yield Client(sandbox)


class Stream:
    """A client of the event stream."""

    def __init__(self, client: Client, query: str = "") -> None:
        self.connection = client.connect()
        self.connection.request(
            "GET", f"/stream/v1/stream{query}", headers={"St2-Api-Key": API_KEY}
        )
        self.response = self.connection.getresponse()

    def event(self) -> tuple[str, Any]:
        """Return the next event's name and data."""
        name = self.response.readline().decode().removeprefix("event: ").strip()
        data = json.loads(self.response.readline().decode().removeprefix("data: "))
        assert self.response.readline() == b"\n"
        return name, data

    def close(self) -> None:
        self.response.close()
        self.connection.close()


def test_each_status_change_is_an_event(client: Client) -> None:
    recorded = recordings()["sse-stream-executions"].body
    stream = Stream(client)

    first = stream.response.readline()
    client.post("core.local", {"cmd": "x"})
    events = [stream.event() for _ in range(4)]
    stream.close()

    lines = [line for line in recorded.split("\n") if line]
    assert first == b"\n"
    assert [name for name, _data in events] == [line[7:] for line in lines[::2]]
    assert [(sorted(data), data["status"]) for _name, data in events] == [
        (sorted(json.loads(line[6:])), json.loads(line[6:])["status"]) for line in lines[1::2]
    ]


def test_a_query_selects_the_events(client: Client) -> None:
    stream = Stream(client, "?events=st2.execution__upd*&action_refs=core.noop")
    stream.response.readline()

    client.post("core.local", {"cmd": "x"})
    client.post("core.noop")
    name, data = stream.event()
    stream.close()

    assert (name, data["action"]["ref"]) == ("st2.execution__update", "core.noop")
    assert data["status"] == "scheduled"


def test_the_stream_can_end_with_an_execution(client: Client) -> None:
    made = client.post("core.local", {"cmd": "sandbox:succeeded:1"})
    query = f"execution_ids={made['id']}&end_execution_id={made['id']}"
    stream = Stream(client, f"?{query}&end_event=st2.execution__update")

    text = stream.response.read().decode()
    stream.close()

    assert '"status":"succeeded"' in text


def test_an_idle_stream_sends_heartbeats(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream_module, "HEARTBEAT_SECONDS", 0.01)
    stream = Stream(client)

    lines = [stream.response.readline() for _ in range(3)]
    stream.close()

    assert lines == [b"\n"] * 3


class ManualDispatcher:
    """A dispatcher whose events the test publishes."""

    def subscribe(self, listener: Listener) -> Callable[[], None]:
        self.publish = listener
        return lambda: None


def test_a_slow_client_is_disconnected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream_module, "MAX_QUEUED", 2)
    state, dispatcher = SandboxState(SandboxOptions(), api_key=API_KEY), ManualDispatcher()
    subscriber = Subscriber(dispatcher, {})  # type: ignore[arg-type]  # Subscriber only calls subscribe()
    made = state.start_execution(
        ExecutionRequest(state.catalog.actions["core.noop"], {}, {"user": "u"})
    )

    for change in made.timeline[:3]:
        dispatcher.publish(made, change)
    events = list(subscriber.events())

    assert [event[:10] for event in events] == [b"\n", b"event: st2"]


def test_stop_ends_the_stream() -> None:
    sandbox = Sandbox(api_key=API_KEY)
    sandbox.start()
    stream = Stream(Client(sandbox))
    stream.response.readline()

    stopping = threading.Thread(target=sandbox.stop)
    stopping.start()
    # The connection may be closed before the stream ends.
    with suppress(http.client.IncompleteRead):
        stream.response.read()
    stopping.join(timeout=10)
    stream.close()

    assert not stopping.is_alive()
