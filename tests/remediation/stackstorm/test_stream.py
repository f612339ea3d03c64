"""The stream of events, as it was recorded and as it breaks."""

import json
import logging

import pytest
from hypothesis import given
from hypothesis import strategies as some

from remediation.stackstorm import StackStormUnavailable, client, stream_base
from remediation.stackstorm.stream import MAX_LINE_BYTES, UPDATE, read_updates
from st2_sandbox import Sandbox, SandboxOptions
from tests.remediation.stackstorm import recordings
from tests.remediation.stackstorm.recordings import HOST, make_client, make_login_client

STREAM = f"{HOST}/stream"
ADDRESS = f"{HOST}/stream/v1/stream"
RECORDED = "sse-stream-executions"


def event(data: str, name: str = UPDATE) -> bytes:
    return f"event: {name}\ndata: {data}\n\n".encode()


def execution(**members: object) -> str:
    return json.dumps({"id": "6b03d249a45708e535751c2a", "status": "running"} | members)


def answer(st2, name: str) -> None:
    recorded = recordings.recording(name)
    st2.get(
        ADDRESS,
        body=recorded.content,
        status=recorded.status,
        content_type=recorded.headers["Content-Type"],
    )


def taken(events) -> list[object]:
    """Take all that a stream tells, until it breaks."""
    found = []
    with pytest.raises(StackStormUnavailable):
        found.extend(events)
    return found


def statuses(pieces) -> list[list[str]]:
    return [[found.status for found in moved] for moved in read_updates(pieces)]


def flat(lists) -> list[object]:
    return [found for several in lists for found in several]


def test_an_execution_is_told_at_each_move_with_its_result_at_last(st2):
    answer(st2, RECORDED)

    told = []
    with pytest.raises(StackStormUnavailable, match=r"StackStorm ended the stream"):
        told.extend(make_client().follow(STREAM))

    events = flat(told)
    assert [found.status for found in events] == ["scheduled", "running", "succeeded"]
    assert events[-1].result["stdout"] == "a\nb"
    assert events[-1].web_url.endswith("/general")


def test_only_the_moves_of_executions_are_asked_for_and_with_our_key(st2):
    answer(st2, RECORDED)

    taken(make_client().follow(STREAM))

    [call] = st2.calls
    assert call.request.url == f"{ADDRESS}?events=st2.execution__update"
    assert call.request.headers["St2-Api-Key"] == recordings.KEY


@pytest.mark.parametrize(
    "name",
    ["sse-stream-default-events", "sse-stream-executions-glob", "sse-stream-action-refs"],
)
def test_every_recorded_stream_can_be_read(name):
    body = recordings.recording(name).content.encode()

    assert flat(statuses([body]))[-1] == "succeeded"


def test_other_events_are_passed_over():
    pieces = [b"\n", event(execution(), "st2.liveaction__update"), event(execution())]

    assert statuses(pieces) == [[], ["running"]]


def test_the_first_line_end_and_each_heartbeat_are_signs_of_life():
    body = recordings.recording("sse-stream-heartbeat").content.encode()

    assert statuses(bytes([byte]) for byte in body) == [[], []]


def test_what_comes_together_is_told_together():
    body = recordings.recording(RECORDED).content.encode()

    assert statuses([body]) == [["scheduled", "running", "succeeded"]]


@given(some.data())
def test_it_does_not_matter_where_the_bytes_are_cut(data):
    body = recordings.recording(RECORDED).content.encode()
    cuts = sorted(data.draw(some.lists(some.integers(0, len(body)), max_size=20)))

    pieces = [body[a:b] for a, b in zip([0, *cuts], [*cuts, len(body)], strict=True)]

    assert flat(statuses(pieces)) == ["scheduled", "running", "succeeded"]


@pytest.mark.parametrize("line_end", [b"\n", b"\r\n"])
def test_other_line_ends_and_comments_are_understood(line_end):
    body = (b"\n: a comment\n\n" + event(execution())).replace(b"\n", line_end)

    assert statuses([body]) == [["running"]]


@pytest.mark.parametrize(
    "data",
    ["", "{", "[]", "null", '{"id": 1}', "[" * 100_000],
    ids=["empty", "torn", "list", "null", "no id", "deep"],
)
def test_what_is_no_execution_is_passed_over_with_a_word_in_the_log(data, caplog):
    with caplog.at_level(logging.WARNING):
        found = statuses([b"\n", event(data), event(execution(status="succeeded"))])

    assert found == [[], ["succeeded"]]
    assert f"Skipped an event of {len(data)} bytes" in caplog.text


def test_a_large_result_comes_whole(monkeypatch):
    result = "x" * 5_000_000
    whole = event(execution(result=result))

    [[found]] = read_updates(whole[i : i + 65_536] for i in range(0, len(whole), 65_536))

    assert found.result == result


def test_a_line_without_end_fills_no_memory(monkeypatch, caplog):
    monkeypatch.setattr("remediation.stackstorm.stream.MAX_LINE_BYTES", 1_000)
    endless = event(execution(result="x" * 5_000))

    assert statuses([endless, event(execution())]) == [["running"]]
    assert "Skipped an event of 994 bytes" in caplog.text
    assert MAX_LINE_BYTES > 16 * 2**20, "the most that StackStorm's database keeps in one document"


def test_a_stream_service_that_is_down_behind_nginx_is_unavailable(st2):
    answer(st2, "nginx-stream-down-200")

    assert taken(make_client().follow(STREAM)) == [], "no sign of life"


def test_a_refused_key_is_told_with_its_remedy_and_never_shown(st2):
    answer(st2, "sse-stream-no-credentials-401")

    with pytest.raises(StackStormUnavailable, match=r"\(401\).*st2 apikey create") as raised:
        next(make_client().follow(STREAM))

    assert recordings.KEY not in str(raised.value)


def test_an_old_token_is_renewed_once(st2):
    for _ in range(2):
        recordings.answer(st2, "auth-tokens-201", path="/auth/v1/tokens")
    answer(st2, "sse-stream-no-credentials-401")
    answer(st2, RECORDED)

    assert len(flat(taken(make_login_client().follow(STREAM)))) == 3


@pytest.mark.parametrize(
    ("status", "content_type"),
    [
        (404, "application/json"),
        (308, "text/html"),
        (503, "text/html"),
        (200, "text/html"),
    ],
)
def test_what_is_no_stream_names_the_setting(status, content_type, st2):
    st2.get(ADDRESS, body="<html>StackStorm</html>", status=status, content_type=content_type)

    with pytest.raises(StackStormUnavailable, match=r"Check ST2_STREAM_URL") as raised:
        next(make_client().follow(STREAM))

    assert raised.value.status == status


def test_a_stream_that_is_not_there_is_unavailable():
    with pytest.raises(StackStormUnavailable, match=r"StackStorm was not reached for GET /stream"):
        next(make_client().follow("http://127.0.0.1:1"))


def test_a_cut_connection_is_unavailable():
    with Sandbox(api_key="k", options=SandboxOptions()) as sandbox:
        follower = make_client(api_url=sandbox.url, api_key="k")
        events = follower.follow(sandbox.url)
        assert next(events) == []

        sandbox.stop()

        assert taken(events) == []
    follower.close()


def test_silence_is_no_stream(monkeypatch):
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
def test_the_streams_address_is_read_in_every_form(url, base):
    assert stream_base(url) == base


@pytest.mark.parametrize(
    "url", ["st2.example.com", "ftp://st2/stream", "https://", "https://u:p@h"]
)
def test_what_is_no_address_names_the_setting(url):
    with pytest.raises(ValueError, match=r"^ST2_STREAM_URL .*https://st2.example.com/stream/v1$"):
        stream_base(url)
