"""The stream tells every move of an execution in the recorded framing."""

import http.client
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

import pytest

from st2_sandbox import Sandbox, SandboxOptions
from st2_sandbox import stream as stream_module
from st2_sandbox.feed import Listener
from st2_sandbox.stream import Subscriber
from st2_sandbox.validation import Request
from st2_sandbox.world import World

from .client import API_KEY, Client
from .recordings import recordings


@pytest.fixture
def client() -> Iterator[Client]:
    with Sandbox(api_key=API_KEY, options=SandboxOptions(duration_seconds=0.05)) as sandbox:
        yield Client(sandbox)


class Stream:
    """A reader of the stream."""

    def __init__(self, client: Client, query: str = "") -> None:
        address = urlsplit(client.sandbox.url)
        self.connection = http.client.HTTPConnection(
            address.hostname or "", address.port, timeout=10
        )
        self.connection.request(
            "GET", f"/stream/v1/stream{query}", headers={"St2-Api-Key": API_KEY}
        )
        self.answer = self.connection.getresponse()

    def event(self) -> tuple[str, Any]:
        """Return the next event's name and data."""
        name = self.answer.readline().decode().removeprefix("event: ").strip()
        data = json.loads(self.answer.readline().decode().removeprefix("data: "))
        assert self.answer.readline() == b"\n"
        return name, data

    def close(self) -> None:
        self.answer.close()
        self.connection.close()


def test_an_execution_is_told_move_by_move(client: Client) -> None:
    recorded = recordings()["sse-stream-executions"].body
    stream = Stream(client)

    first = stream.answer.readline()
    client.post("core.local", {"cmd": "x"})
    events = [stream.event() for _time in range(4)]
    stream.close()

    lines = [line for line in recorded.split("\n") if line]
    assert first == b"\n"
    assert [name for name, _data in events] == [line[7:] for line in lines[::2]]
    assert [(sorted(data), data["status"]) for _name, data in events] == [
        (sorted(json.loads(line[6:])), json.loads(line[6:])["status"]) for line in lines[1::2]
    ]


def test_only_what_was_asked_for_is_told(client: Client) -> None:
    stream = Stream(client, "?events=st2.execution__upd*&action_refs=core.noop")
    stream.answer.readline()

    client.post("core.local", {"cmd": "x"})
    client.post("core.noop")
    name, data = stream.event()
    stream.close()

    assert (name, data["action"]["ref"]) == ("st2.execution__update", "core.noop")
    assert data["status"] == "scheduled"


def test_the_end_of_an_execution_may_end_the_stream(client: Client) -> None:
    made = client.post("core.local", {"cmd": "sandbox:succeeded:1"})
    query = f"execution_ids={made['id']}&end_execution_id={made['id']}"
    stream = Stream(client, f"?{query}&end_event=st2.execution__update")

    told = stream.answer.read().decode()
    stream.close()

    assert '"status":"succeeded"' in told


def test_silence_is_broken_by_heartbeats(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream_module, "HEARTBEAT_SECONDS", 0.01)
    stream = Stream(client)

    lines = [stream.answer.readline() for _time in range(3)]
    stream.close()

    assert lines == [b"\n"] * 3


class Feed:
    """Tells by hand."""

    def listen(self, listener: Listener) -> Callable[[], None]:
        self.tell = listener
        return lambda: None


def test_a_reader_too_slow_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream_module, "MOST_WAITING", 2)
    world, feed = World(SandboxOptions(), api_key=API_KEY), Feed()
    subscriber = Subscriber(feed, {})  # type: ignore[arg-type]  as much of a feed as is asked
    made = world.start_execution(Request(world.catalogue.actions["core.noop"], {}, {"user": "u"}))

    for moment in made.moments[:3]:
        feed.tell(made, moment)
    told = list(subscriber.events())

    assert [event[:10] for event in told] == [b"\n", b"event: st2"]


def test_stop_ends_the_stream() -> None:
    sandbox = Sandbox(api_key=API_KEY)
    sandbox.start()
    stream = Stream(Client(sandbox))
    stream.answer.readline()

    stopping = threading.Thread(target=sandbox.stop)
    stopping.start()
    with suppress(http.client.IncompleteRead):  # cut or ended, whichever is first
        stream.answer.read()
    stopping.join(timeout=10)
    stream.close()

    assert not stopping.is_alive()
