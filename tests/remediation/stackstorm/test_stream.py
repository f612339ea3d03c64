"""The event stream: recorded streams and failures."""

import json
import logging
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some

from remediation.stackstorm import StackStormUnavailable, client, stream_base
from remediation.stackstorm.stream import MAX_LINE_BYTES, UPDATE, read_updates
from st2_sandbox import Sandbox, SandboxOptions
from tests.remediation.stackstorm import recordings
from tests.remediation.stackstorm.recordings import HOST, make_client, make_login_client

STREAM = f"{HOST}/stream"
EVENTS_URL = f"{HOST}/stream/v1/stream"
RECORDED = "sse-stream-executions"


def event(data: str, name: str = UPDATE) -> bytes:
    return f"event: {name}\ndata: {data}\n\n".encode()


def execution(**members: object) -> str:
    return json.dumps({"id": "6b03d249a45708e535751c2a", "status": "running"} | members)


def add_stream(st2, name: str) -> None:
    recorded = recordings.recording(name)
    st2.get(
        EVENTS_URL,
        body=recorded.content,
        status=recorded.status,
        content_type=recorded.headers["Content-Type"],
    )


def updates_until_error(updates) -> list[object]:
    """Return the updates of a stream that fails."""
    found = []
    with pytest.raises(StackStormUnavailable):
        found.extend(updates)
    return found


def statuses(pieces) -> list[list[str]]:
    return [[found.status for found in updated] for updated in read_updates(pieces)]


def flat(lists) -> list[Any]:
    return [item for items in lists for item in items]


def test_each_status_of_an_execution_is_yielded_and_finally_its_result(st2):
    add_stream(st2, RECORDED)

    updates: list[Any] = []
    with pytest.raises(StackStormUnavailable, match=r"StackStorm ended the stream"):
        updates.extend(make_client().follow(STREAM))

    events = flat(updates)
    assert [found.status for found in events] == ["scheduled", "running", "succeeded"]
    assert events[-1].result["stdout"] == "a\nb"
    assert events[-1].web_url.endswith("/general")


def test_only_updates_of_executions_are_requested_with_the_key(st2):
    add_stream(st2, RECORDED)

    updates_until_error(make_client().follow(STREAM))

    [call] = st2.calls
    assert call.request.url == f"{EVENTS_URL}?events=st2.execution__update"
    assert call.request.headers["St2-Api-Key"] == recordings.KEY


@pytest.mark.parametrize(
    "name",
    ["sse-stream-default-events", "sse-stream-executions-glob", "sse-stream-action-refs"],
)
def test_every_recorded_stream_can_be_read(name):
    body = recordings.recording(name).content.encode()

    assert flat(statuses([body]))[-1] == "succeeded"


def test_other_events_are_skipped():
    pieces = [b"\n", event(execution(), "st2.liveaction__update"), event(execution())]

    assert statuses(pieces) == [[], ["running"]]


def test_the_first_line_end_and_each_heartbeat_yield_an_empty_list():
    body = recordings.recording("sse-stream-heartbeat").content.encode()

    assert statuses(bytes([byte]) for byte in body) == [[], []]


def test_events_that_arrive_together_are_yielded_together():
    body = recordings.recording(RECORDED).content.encode()

    assert statuses([body]) == [["scheduled", "running", "succeeded"]]


@given(some.data())
def test_bytes_may_be_split_anywhere(data):
    body = recordings.recording(RECORDED).content.encode()
    cuts = sorted(data.draw(some.lists(some.integers(0, len(body)), max_size=20)))

    pieces = [body[a:b] for a, b in zip([0, *cuts], [*cuts, len(body)], strict=True)]

    assert flat(statuses(pieces)) == ["scheduled", "running", "succeeded"]


@pytest.mark.parametrize("line_end", [b"\n", b"\r\n"])
def test_other_line_ends_and_comments_are_accepted(line_end):
    body = (b"\n: a comment\n\n" + event(execution())).replace(b"\n", line_end)

    assert statuses([body]) == [["running"]]


@pytest.mark.parametrize(
    "data",
    ["", "{", "[]", "null", '{"id": 1}', "[" * 100_000],
    ids=["empty", "incomplete", "list", "null", "no id", "deep"],
)
def test_an_event_without_an_execution_is_skipped_and_logged(data, caplog):
    with caplog.at_level(logging.WARNING):
        found = statuses([b"\n", event(data), event(execution(status="succeeded"))])

    assert found == [[], ["succeeded"]]
    assert f"Skipped an event of {len(data)} bytes" in caplog.text


def test_a_large_result_is_complete():
    result = "x" * 5_000_000
    sent = event(execution(result=result))

    [[found]] = read_updates(sent[i : i + 65_536] for i in range(0, len(sent), 65_536))

    assert found.result == result


def test_a_line_that_is_too_long_is_cut(monkeypatch, caplog):
    monkeypatch.setattr("remediation.stackstorm.stream.MAX_LINE_BYTES", 1_000)
    too_long = event(execution(result="x" * 5_000))

    assert statuses([too_long, event(execution())]) == [["running"]]
    assert "Skipped an event of 994 bytes" in caplog.text
    assert MAX_LINE_BYTES > 16 * 2**20, "MongoDB's document limit"


def test_a_stream_service_that_is_down_behind_nginx_is_unavailable(st2):
    add_stream(st2, "nginx-stream-down-200")

    assert updates_until_error(make_client().follow(STREAM)) == [], "not even a heartbeat"


def test_a_refused_key_has_a_hint_and_is_masked(st2):
    add_stream(st2, "sse-stream-no-credentials-401")

    with pytest.raises(StackStormUnavailable, match=r"returned 401 .*st2 apikey create") as raised:
        next(make_client().follow(STREAM))

    assert recordings.KEY not in str(raised.value)


def test_an_old_token_is_renewed_once(st2):
    for _ in range(2):
        recordings.add_response(st2, "auth-tokens-201", path="/auth/v1/tokens")
    add_stream(st2, "sse-stream-no-credentials-401")
    add_stream(st2, RECORDED)

    assert len(flat(updates_until_error(make_login_client().follow(STREAM)))) == 3


@pytest.mark.parametrize(
    ("status", "content_type"),
    [
        (404, "application/json"),
        (308, "text/html"),
        (503, "text/html"),
        (200, "text/html"),
    ],
)
def test_a_response_that_is_not_a_stream_names_the_setting(status, content_type, st2):
    st2.get(EVENTS_URL, body="<html>StackStorm</html>", status=status, content_type=content_type)

    with pytest.raises(StackStormUnavailable, match=r"Check ST2_STREAM_URL") as raised:
        next(make_client().follow(STREAM))

    assert raised.value.status == status


def test_an_unreachable_stream_is_unavailable():
    with pytest.raises(StackStormUnavailable, match=r"StackStorm was not reached for GET /stream"):
        next(make_client().follow("http://127.0.0.1:1"))


def test_a_closed_connection_is_unavailable():
    with Sandbox(api_key="k", options=SandboxOptions()) as sandbox:
        follower = make_client(api_url=sandbox.url, api_key="k")
        events = follower.follow(sandbox.url)
        assert next(events) == []

        sandbox.stop()

        assert updates_until_error(events) == []
    follower.close()


def test_a_silent_stream_times_out(monkeypatch):
    monkeypatch.setattr(client, "SILENCE_SECONDS", 0.05)
    with Sandbox(api_key="k") as sandbox:
        follower = make_client(api_url=sandbox.url, api_key="k")
        events = follower.follow(sandbox.url)
        next(events)

        with pytest.raises(StackStormUnavailable, match="timed out"):
            next(events)
    follower.close()


@pytest.mark.parametrize(
    ("url", "base"),
    [
        ("http://st2:9102", "http://st2:9102/v1"),
        ("http://st2:9102/v1/", "http://st2:9102/v1"),
        ("http://st2:9102/v1/stream", "http://st2:9102/v1"),
        ("https://st2/stream", "https://st2/stream/v1"),
        ("https://st2/stream/v1", "https://st2/stream/v1"),
        ("https://st2/stream/v1/stream/", "https://st2/stream/v1"),
        ("wss://st2.example.com/stream", "https://st2.example.com/stream/v1"),
        ("WS://st2:9102", "http://st2:9102/v1"),
    ],
)
def test_every_form_of_the_stream_url_is_accepted(url, base):
    assert stream_base(url) == base


@pytest.mark.parametrize(
    "url", ["st2.example.com", "ftp://st2/stream", "https://", "https://u:p@h"]
)
def test_an_invalid_url_names_the_setting(url):
    with pytest.raises(ValueError, match=r"^ST2_STREAM_URL .*https://st2.example.com/stream/v1$"):
        stream_base(url)
