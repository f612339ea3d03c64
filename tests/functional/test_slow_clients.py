"""Slow and hostile clients of the web server over real sockets, as production runs it."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import pytest
import requests

from poundcake.request_body import UNKNOWN_BODY_BYTES
from remediation.management.web_server import STOP_SECONDS
from tests.servers.poundcake import MANAGE, PoundCake, on_sqlite, web_server
from tests.servers.processes import children, descendants, is_alive

pytestmark = pytest.mark.slow

SLOW_CLIENTS = 200
DELAY_MAX = 1.0  # seconds
MEASURED_SECONDS = 4.0
STATIC_FILE = "/static/admin/css/base.css"


@pytest.fixture(scope="module")
def web(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PoundCake]:
    poundcake = on_sqlite(tmp_path_factory.mktemp("web"))
    with web_server(poundcake):
        yield poundcake


def address(web: PoundCake) -> tuple[str, int]:
    host, _, port = web.url.removeprefix("http://").rpartition(":")
    return host, int(port)


def head(web: PoundCake, *headers: str, token: str = "") -> bytes:
    """Return the headers of a webhook, without the empty line after them."""
    lines = [
        "POST /api/v1/webhook HTTP/1.1",
        "Host: 127.0.0.1",
        f"Authorization: Bearer {token or web.token}",
        "Content-Type: application/json",
        *headers,
    ]
    return "".join(f"{line}\r\n" for line in lines).encode()


class SlowClient:
    """A connection that sends ``first`` at once and then ``drip``, one byte a second."""

    def __init__(self, web: PoundCake, first: bytes, drip: bytes, *, reads: bool = False) -> None:
        self.drip = drip
        self.reads = reads
        self.connection = socket.socket()
        # With the smallest buffer, the response does not fit.
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
        self.connection.settimeout(5)
        self.connection.connect(address(web))
        self.connection.sendall(first)
        self.connection.settimeout(0.01)

    def step(self) -> None:
        """Send or read one byte."""
        with suppress(OSError):
            if self.reads:
                self.connection.recv(1)
            elif self.drip:
                self.connection.send(self.drip)


def slow_clients(web: PoundCake) -> list[SlowClient]:
    request = f"GET {STATIC_FILE} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode()
    kinds = [
        lambda: SlowClient(web, b"", b""),
        lambda: SlowClient(web, head(web), b"X"),
        lambda: SlowClient(web, head(web, "Content-Length: 1000") + b"\r\n", b" "),
        lambda: SlowClient(web, head(web, "Content-Length: 33554432") + b"\r\n", b" "),
        lambda: SlowClient(web, head(web, "Transfer-Encoding: chunked") + b"\r\n400\r\n", b" "),
        lambda: SlowClient(web, request * 20, b"", reads=True),
    ]
    return [kinds[number % len(kinds)]() for number in range(SLOW_CLIENTS)]


@contextmanager
def attacked(web: PoundCake) -> Iterator[None]:
    """Keep the connections of slow clients open during the block."""
    clients = slow_clients(web)
    done = threading.Event()

    def drip() -> None:
        while not done.wait(1):
            for client in clients:
                client.step()

    thread = threading.Thread(target=drip, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
        for client in clients:
            client.connection.close()


def webhook(web: PoundCake, number: int) -> requests.Response:
    alert = {"status": "firing", "labels": {"alertname": "Slow", "instance": f"host-{number}"}}
    return requests.post(
        f"{web.url}/api/v1/webhook",
        json={"alerts": [alert]},
        headers={"Authorization": f"Bearer {web.token}"},
        timeout=30,
    )


def delays(web: PoundCake) -> list[float]:
    """Return the seconds of each call of /healthz and of the webhook, for some seconds."""
    measured = []
    end = monotonic() + MEASURED_SECONDS
    while monotonic() < end:
        start = monotonic()
        assert requests.get(f"{web.url}/healthz", timeout=30).status_code == 200
        measured.append(monotonic() - start)
        start = monotonic()
        assert webhook(web, len(measured)).status_code == 202
        measured.append(monotonic() - start)
    return measured


def test_slow_clients_delay_no_other_request(web: PoundCake) -> None:
    undisturbed = max(delays(web))

    with attacked(web):
        # The server is busy elsewhere when it is only slow: compare with the time without them.
        assert max(delays(web)) < undisturbed + DELAY_MAX


def exchange(web: PoundCake, sent: bytes) -> bytes:
    """Send bytes and return all that the server sends until it closes the connection."""
    with socket.create_connection(address(web), timeout=30) as connection:
        # The server may close before it has read everything.
        with suppress(OSError):
            connection.sendall(sent)
        received = b""
        with suppress(ConnectionResetError):
            while part := connection.recv(65_536):
                received += part
        return received


@pytest.mark.parametrize("size", [UNKNOWN_BODY_BYTES + 1, 8 * 2**20], ids=["64 KiB", "8 MiB"])
@pytest.mark.parametrize("is_chunked", [False, True], ids=["length", "chunked"])
def test_a_large_body_with_a_wrong_token_is_refused_unread(
    web: PoundCake, size: int, is_chunked: bool
) -> None:
    body = b" " * size
    length = "Transfer-Encoding: chunked" if is_chunked else f"Content-Length: {size}"
    if is_chunked:
        body = f"{size:x}\r\n".encode() + body

    received = exchange(web, head(web, length, token="pc_wrong") + b"\r\n" + body)

    assert received.startswith(b"HTTP/1.1 401 ")
    assert b"connection: close" in received.lower()


def test_a_sender_without_credentials_is_not_asked_for_a_large_body(web: PoundCake) -> None:
    headers = head(web, "Content-Length: 99999", "Expect: 100-continue", token="pc_wrong")

    received = exchange(web, headers + b"\r\n")

    assert received.startswith(b"HTTP/1.1 401 ")


def test_a_large_body_with_a_token_is_stored(web: PoundCake) -> None:
    alerts = [
        {"status": "firing", "labels": {"alertname": "Large", "n": str(number)}}
        for number in range(2_000)
    ]
    body = json.dumps({"alerts": alerts}).encode()
    assert len(body) > UNKNOWN_BODY_BYTES

    received = exchange(
        web, head(web, f"Content-Length: {len(body)}", "Connection: close") + b"\r\n" + body
    )

    assert received.startswith(b"HTTP/1.1 202 ")
    assert b'"alerts_received":2000' in received


def test_a_body_above_the_limit_is_refused(web: PoundCake) -> None:
    received = exchange(web, head(web, f"Content-Length: {33 * 2**20}") + b"\r\n" + b" " * 2**20)

    assert received.startswith(b"HTTP/1.1 413 ")


def test_responses_name_no_server_program(web: PoundCake) -> None:
    assert requests.get(f"{web.url}/healthz", timeout=30).headers["Server"] == "PoundCake"


def wait_until(holds: Callable[[], Any]) -> Any:
    deadline = monotonic() + 60
    while not (value := holds()):
        assert monotonic() < deadline
        sleep(0.05)
    return value


def test_a_dead_process_is_replaced_and_a_stop_finishes_requests(tmp_path: Path) -> None:
    web = on_sqlite(tmp_path)
    with web_server(web) as server, ExitStack() as stack:
        first = children()[server.pid]
        os.kill(first[0], signal.SIGKILL)
        wait_until(lambda: len(set(children()[server.pid]) - set(first)) == 1)
        wait_until(lambda: webhook(web, 1).status_code == 202)

        body = b'{"alerts": []}'
        under_way = stack.enter_context(socket.create_connection(address(web), timeout=30))
        under_way.sendall(head(web, f"Content-Length: {len(body)}") + b"\r\n" + body[:5])
        stack.enter_context(socket.create_connection(address(web)))
        sleep(0.5)
        server.terminate()
        sleep(0.5)
        under_way.sendall(body[5:])

        assert under_way.recv(100).startswith(b"HTTP/1.1 202 ")
        assert server.wait(STOP_SECONDS + 10) == 0
        assert not descendants(server.pid)


def test_the_processes_die_with_their_parent(tmp_path: Path) -> None:
    web = on_sqlite(tmp_path)
    with web_server(web) as server:
        processes = descendants(server.pid)

        server.kill()
        server.wait()

        wait_until(lambda: not any(map(is_alive, processes)))


def test_a_second_server_at_the_same_address_is_refused(web: PoundCake) -> None:
    done = subprocess.run(
        [*MANAGE, "web"], env=web.environment, capture_output=True, text=True, timeout=60
    )

    assert done.returncode == 1
    assert "BIND cannot be used: 127.0.0.1:" in done.stderr
    assert "Address already in use" in done.stderr
