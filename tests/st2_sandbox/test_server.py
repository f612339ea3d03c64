"""The server: it says what it is, can be looked into, stops at once and comes back."""

import http.client
import signal
import subprocess
import sys
import time
from urllib.parse import urlsplit
from urllib.request import urlopen

import pytest

from st2_sandbox import BANNER, Sandbox
from tests.paths import ROOT

from .client import API_KEY, Client, Clock

COMMAND = (
    "import sys; from django.conf import settings; settings.configure();"
    "from remediation.management.commands.st2_sandbox import Command;"
    "Command().run_from_argv(['manage.py', 'st2_sandbox', *sys.argv[1:]])"
)


def test_it_says_that_it_is_a_sandbox(client: Client) -> None:
    reply = client.call("GET", "/", headers={})

    assert reply.body["sandbox"] == BANNER
    assert reply.headers["Server"] == BANNER
    assert "executes nothing" in BANNER


def test_stats_tell_what_happened(client: Client, clock: Clock) -> None:
    context = {"trace_context": {"trace_tag": "t"}}
    for _time in range(2):
        client.post("core.noop", context=context)
    clock.advance(10)
    client.get("/v1/user")

    assert client.get("/sandbox/stats") == {
        "posts": 2,
        "posts_by_trace_tag": {"t": 2},
        "gets": 1,
        "executions": {"succeeded": 2},
        "started_twice": ["t"],
    }
    assert client.sandbox.requests[-1] == ("GET", "/v1/user")
    assert client.get("/sandbox/requests") == [
        ["POST", "/v1/executions"],
        ["POST", "/v1/executions"],
        ["GET", "/v1/user"],
    ]


def test_executions_are_listed_with_start_and_end(client: Client, clock: Clock) -> None:
    start = clock()
    context = {"trace_context": {"trace_tag": "t"}}
    one = client.post("core.local", {"cmd": "true"}, context=context)

    assert client.get("/sandbox/executions") == [
        {
            "id": one["id"],
            "action": "core.local",
            "trace_tag": "t",
            "parameters": {"cmd": "true"},
            "status": "requested",
            "start": start,
            "end": start + client.sandbox.options.duration_seconds,
        }
    ]


@pytest.mark.parametrize(
    "included", ["status", "result,context.trace_context", "parameters,log", "children,parent"]
)
def test_a_list_computes_only_the_included_fields(
    included: str, client: Client, clock: Clock
) -> None:
    one = client.post("core.local", {"cmd": "true"})["id"]
    clock.advance(10)
    whole = client.get(f"/v1/executions/{one}")

    [row] = client.get(f"/v1/executions?id={one}&include_attributes={included}")

    names = {"id", *(name.partition(".")[0] for name in included.split(","))}
    assert {**row, "context": whole["context"]} == {
        **{name: value for name, value in whole.items() if name in names},
        "context": whole["context"],
    }


def test_options_are_set_over_http(client: Client) -> None:
    reply = client.call("POST", "/sandbox/config", {"duration_seconds": 3, "callback_token": "s"})

    assert reply.body["duration_seconds"] == 3
    assert "callback_token" not in reply.body
    assert client.sandbox.options.duration_seconds == 3


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"nope": 1}, "nope is no option; there are"),
        ({"seed": "x"}, "seed must be"),
        (b"{", "parse"),
    ],
)
def test_a_wrong_option_over_http_is_a_clear_400(body: object, words: str, client: Client) -> None:
    reply = client.call("POST", "/sandbox/config", body)

    assert reply.status == 400
    assert words in reply.body["faultstring"]


def test_reset_forgets_executions_and_keeps_options(client: Client) -> None:
    client.sandbox.configure(seed=5)
    client.post("core.noop")

    client.call("POST", "/sandbox/reset")

    assert client.sandbox.executions == ()
    assert client.sandbox.requests == ()
    assert client.sandbox.options.seed == 5


@pytest.mark.parametrize(
    "path",
    [f"/sandbox/{name}" for name in ("stats", "executions", "requests", "config", "reset")],
)
def test_the_controls_ask_for_credentials(path: str, client: Client) -> None:
    assert client.call("POST", path, {}, headers={}).status == 401


def test_another_control_is_told_which_there_are(client: Client) -> None:
    reply = client.call("GET", "/sandbox/config")

    assert reply.status == 404
    assert "POST /sandbox/reset" in reply.body["faultstring"]


def test_a_connection_is_kept_for_the_next_call(client: Client) -> None:
    address = urlsplit(client.sandbox.url)
    connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=10)
    ports = set()
    for _time in range(3):
        connection.request("GET", "/v1/user", headers={"St2-Api-Key": API_KEY})
        connection.getresponse().read()
        ports.add(connection.sock.getsockname())
    connection.close()

    assert len(ports) == 1


def test_stop_cuts_connections_and_start_brings_everything_back() -> None:
    sandbox = Sandbox(api_key=API_KEY)
    sandbox.start()
    client = Client(sandbox)
    made, url = client.post("core.noop"), sandbox.url
    address = urlsplit(url)
    open_one = http.client.HTTPConnection(address.hostname or "", address.port, timeout=10)
    open_one.request("GET", "/v1/user", headers={"St2-Api-Key": API_KEY})
    open_one.getresponse().read()

    began = time.monotonic()
    sandbox.stop()
    took = time.monotonic() - began

    assert took < 2
    with pytest.raises(ConnectionError):
        client.get("/v1/user")
    assert open_one.sock.recv(1) == b""
    open_one.close()
    sandbox.start()
    assert sandbox.url == url
    assert client.get(f"/v1/executions/{made['id']}")["id"] == made["id"]
    sandbox.stop()
    sandbox.stop()


def test_a_body_beyond_reason_is_not_read(client: Client) -> None:
    address = urlsplit(client.sandbox.url)
    connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=10)
    connection.putrequest("POST", "/v1/executions")
    connection.putheader("Content-Length", str(1 << 40))
    connection.endheaders()

    status = connection.getresponse().status
    connection.close()

    assert status == 413


def start_command(*arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", COMMAND, *arguments],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_the_command_serves_until_it_is_told_to_stop() -> None:
    with start_command("--bind", "127.0.0.1:0", "--option", "duration_seconds=3") as process:
        assert process.stdout is not None
        banner, listening = process.stdout.readline(), process.stdout.readline()
        url = listening.split()[2].rstrip(";")
        with urlopen(url, timeout=10) as answer:  # noqa: S310  the address just printed
            status = answer.status
        process.send_signal(signal.SIGTERM)

        assert process.wait(timeout=10) == 0
        assert (banner.strip(), status) == (BANNER, 200)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--bind", "9101"), "must be HOST:PORT"),
        (("--bind", "192.0.2.1:9101"), "--bind: cannot listen there"),
        (("--option", "nope=1"), "--option: nope is no option"),
        (("--option", "seed"), "must be NAME=VALUE"),
    ],
)
def test_the_command_refuses_what_it_cannot_play(arguments: tuple[str, ...], words: str) -> None:
    with start_command(*arguments) as process:
        _out, errors = process.communicate(timeout=20)

    assert process.returncode != 0
    assert words in errors
