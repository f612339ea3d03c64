"""The HTTP server: banner, control endpoints, stop and restart, and the management command."""

import signal
import subprocess
import sys
import time
from urllib.request import urlopen

import pytest

from st2_sandbox import SERVER_BANNER, Sandbox
from tests.paths import ROOT

from .client import API_KEY, TRACE_CONTEXT, Client, Clock

COMMAND = (
    "import sys; from django.conf import settings; settings.configure();"
    "from remediation.management.commands.st2_sandbox import Command;"
    "Command().run_from_argv(['manage.py', 'st2_sandbox', *sys.argv[1:]])"
)


def test_the_root_and_the_server_header_identify_a_sandbox(client: Client) -> None:
    response = client.call("GET", "/", headers={})

    assert response.body["sandbox"] == SERVER_BANNER
    assert response.headers["Server"] == SERVER_BANNER
    assert "executes nothing" in SERVER_BANNER


def test_stats_count_posts_gets_and_executions(client: Client, clock: Clock) -> None:
    for _ in range(2):
        client.post("core.noop", context=TRACE_CONTEXT)
    clock.advance(10)
    client.get("/v1/user")

    assert client.get("/sandbox/stats") == {
        "posts": 2,
        "posts_by_trace_tag": {"tag-1": 2},
        "gets": 1,
        "executions": {"succeeded": 2},
        "started_twice": ["tag-1"],
    }
    assert client.sandbox.requests[-1] == ("GET", "/v1/user")
    assert client.get("/sandbox/requests") == [
        ["POST", "/v1/executions"],
        ["POST", "/v1/executions"],
        ["GET", "/v1/user"],
    ]


def test_executions_are_listed_with_start_and_end(client: Client, clock: Clock) -> None:
    start = clock()
    one = client.post("core.local", {"cmd": "true"}, context=TRACE_CONTEXT)

    assert client.get("/sandbox/executions") == [
        {
            "id": one["id"],
            "action": "core.local",
            "trace_tag": "tag-1",
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
    complete = client.get(f"/v1/executions/{one}")

    [row] = client.get(f"/v1/executions?id={one}&include_attributes={included}")

    names = {"id", *(name.partition(".")[0] for name in included.split(","))}
    assert {**row, "context": complete["context"]} == {
        **{name: value for name, value in complete.items() if name in names},
        "context": complete["context"],
    }


def test_options_are_set_over_http(client: Client) -> None:
    response = client.call(
        "POST", "/sandbox/config", {"duration_seconds": 3, "callback_token": "s"}
    )

    assert response.body["duration_seconds"] == 3
    assert "callback_token" not in response.body
    assert client.sandbox.options.duration_seconds == 3


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"nope": 1}, "nope is no option; there are"),
        ({"seed": "x"}, "seed must be"),
        (b"{", "parse"),
    ],
)
def test_a_wrong_option_over_http_is_a_400_that_names_it(
    body: object, message: str, client: Client
) -> None:
    response = client.call("POST", "/sandbox/config", body)

    assert response.status == 400
    assert message in response.body["faultstring"]


def test_a_reset_deletes_executions_and_keeps_options(client: Client) -> None:
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
def test_the_control_endpoints_require_credentials(path: str, client: Client) -> None:
    assert client.call("POST", path, {}, headers={}).status == 401


def test_the_404_of_an_unknown_control_endpoint_lists_the_known_ones(client: Client) -> None:
    response = client.call("GET", "/sandbox/config")

    assert response.status == 404
    assert "POST /sandbox/reset" in response.body["faultstring"]


def test_a_connection_is_kept_alive_for_the_next_request(client: Client) -> None:
    connection = client.connect()
    ports = set()
    for _ in range(3):
        connection.request("GET", "/v1/user", headers={"St2-Api-Key": API_KEY})
        connection.getresponse().read()
        ports.add(connection.sock.getsockname())
    connection.close()

    assert len(ports) == 1


def test_stop_closes_connections_and_start_restores_the_executions() -> None:
    sandbox = Sandbox(api_key=API_KEY)
    sandbox.start()
    client = Client(sandbox)
    made, url = client.post("core.noop"), sandbox.url
    connection = client.connect()
    connection.request("GET", "/v1/user", headers={"St2-Api-Key": API_KEY})
    connection.getresponse().read()

    began = time.monotonic()
    sandbox.stop()
    seconds = time.monotonic() - began

    assert seconds < 2
    with pytest.raises(ConnectionError):
        client.get("/v1/user")
    assert connection.sock.recv(1) == b""
    connection.close()
    sandbox.start()
    assert sandbox.url == url
    assert client.get(f"/v1/executions/{made['id']}")["id"] == made["id"]
    sandbox.stop()
    sandbox.stop()


def test_a_body_that_is_too_large_is_refused_unread(client: Client) -> None:
    connection = client.connect()
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


def test_the_command_serves_until_sigterm() -> None:
    with start_command("--bind", "127.0.0.1:0", "--option", "duration_seconds=3") as process:
        assert process.stdout is not None
        banner, listening = process.stdout.readline(), process.stdout.readline()
        url = listening.split()[2].rstrip(";")
        with urlopen(url, timeout=10) as response:  # noqa: S310 - the command printed this URL
            status = response.status
        process.send_signal(signal.SIGTERM)

        assert process.wait(timeout=10) == 0
        assert (banner.strip(), status) == (SERVER_BANNER, 200)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--bind", "9101"), "must be HOST:PORT"),
        (("--bind", "192.0.2.1:9101"), "--bind: cannot listen on this address"),
        (("--option", "nope=1"), "--option: nope is no option"),
        (("--option", "seed"), "must be NAME=VALUE"),
    ],
)
def test_the_command_refuses_wrong_arguments(arguments: tuple[str, ...], message: str) -> None:
    with start_command(*arguments) as process:
        _out, errors = process.communicate(timeout=20)

    assert process.returncode != 0
    assert message in errors
