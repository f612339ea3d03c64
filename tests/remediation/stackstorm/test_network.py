"""Failures of the network, on real sockets: what can have left this machine, and what cannot."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

import pytest

from remediation.stackstorm import StackStormUnavailable, TooLateToSend, unless_too_late
from tests.remediation.stackstorm.recordings import make_client, make_login_client

Behavior = Callable[[socket.socket], None]

OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s"
PATIENCE = 10.0  # seconds until a hung test is given up


def request_of(connection: socket.socket) -> bytes:
    """Return the next request, with as much of its body as has come."""
    received = b""
    while b"\r\n\r\n" not in received:
        chunk = connection.recv(65536)
        if not chunk:
            break
        received += chunk
    return received


def hang_up(connection: socket.socket) -> None:
    """Take a request and close the connection without an answer."""
    request_of(connection)


def ok(body: bytes) -> bytes:
    return OK % (len(body), body)


@contextmanager
def server(behave: Behavior) -> Iterator[str]:
    """Serve each connection by ``behave`` in a thread, then close it; yield host and port."""
    listener = socket.create_server(("127.0.0.1", 0))
    threads: list[threading.Thread] = []

    def serve(connection: socket.socket) -> None:
        with connection:
            connection.settimeout(PATIENCE)
            behave(connection)

    def accept() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threads.append(threading.Thread(target=serve, args=(connection,), daemon=True))
            threads[-1].start()

    accepting = threading.Thread(target=accept, daemon=True)
    accepting.start()
    try:
        yield f"127.0.0.1:{listener.getsockname()[1]}"
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        for thread in (accepting, *threads):
            thread.join(PATIENCE)


def failure(url: str, **overrides: Any) -> StackStormUnavailable:
    """Return how launching an action at ``url`` fails without an answer."""
    error = failure_of_any_status(url, **overrides)
    assert error.status is None
    return error


def failure_of_any_status(url: str, **overrides: Any) -> StackStormUnavailable:
    """Return how launching an action at ``url`` fails, with or without an answer."""
    client = make_client(**({"api_url": url} | overrides))
    try:
        with pytest.raises(StackStormUnavailable) as caught:
            client.run_action("core.local", {"cmd": "true"}, trace_tag="t")
    finally:
        client.close()
    return caught.value


@pytest.fixture
def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
    return port


def test_a_refused_connection_sends_nothing(closed_port: int) -> None:
    error = failure(f"http://127.0.0.1:{closed_port}")

    assert error.may_have_been_sent is False
    assert str(error) == (
        "StackStorm was not reached for POST /executions: "
        f"[Errno 111] Connection refused at 127.0.0.1:{closed_port}"
    )


def test_a_name_that_nobody_knows_sends_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def know_nobody(*_arguments: object) -> NoReturn:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", know_nobody)

    error = failure("http://no-such-host.invalid:9101")

    assert error.may_have_been_sent is False
    assert "at no-such-host.invalid:9101" in str(error)


def test_a_connection_that_times_out_sends_nothing() -> None:
    with socket.socket() as full, socket.socket() as first, socket.socket() as second:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        for client in (first, second):
            client.setblocking(False)
            client.connect_ex(full.getsockname())

        error = failure(f"http://127.0.0.1:{full.getsockname()[1]}", timeout=0.2)

    assert error.may_have_been_sent is False
    assert "timed out" in error.message


def test_a_failed_tls_handshake_sends_nothing() -> None:
    def speak_plain(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")

    with server(speak_plain) as address:
        error = failure(f"https://{address}")

    assert error.may_have_been_sent is False
    assert "SSL" in error.message


@pytest.mark.parametrize("at_once", [True, False])
def test_a_handshake_that_is_cut_or_hangs_sends_nothing(at_once: bool) -> None:
    over = threading.Event()

    def cut_or_hang(connection: socket.socket) -> None:
        connection.recv(65536)
        if not at_once:
            over.wait(PATIENCE)

    with server(cut_or_hang) as address:
        error = failure(f"https://{address}", timeout=0.2)
        over.set()

    assert error.may_have_been_sent is False


def test_a_connection_that_is_closed_before_the_answer_is_ambiguous() -> None:
    with server(hang_up) as address:
        error = failure(f"http://{address}")

    assert error.may_have_been_sent is True
    assert error.message == f"Remote end closed connection without response at {address}"


def test_an_answer_that_does_not_come_is_ambiguous() -> None:
    over = threading.Event()

    def hang(connection: socket.socket) -> None:
        request_of(connection)
        over.wait(PATIENCE)

    with server(hang) as address:
        error = failure(f"http://{address}", timeout=0.2)
        over.set()

    assert error.may_have_been_sent is True
    assert error.message == f"timed out at {address}"


@pytest.mark.parametrize(
    "beginning",
    [
        b"HTTP/1.1 201 Created\r\nContent-Length: 100\r\n\r\n{",
        b"HTTP/1.1 201 Cre",
        b"HTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 201 Created\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\nnope",
        b"SSH-2.0-OpenSSH_9.2\r\n",
    ],
)
def test_an_answer_that_breaks_off_is_ambiguous(beginning: bytes) -> None:
    def answer_badly(connection: socket.socket) -> None:
        request_of(connection)
        connection.sendall(beginning)

    with server(answer_badly) as address:
        error = failure_of_any_status(f"http://{address}")

    assert error.may_have_been_sent is True


def test_a_kept_connection_that_was_closed_meanwhile_is_ambiguous() -> None:
    def answer_once(connection: socket.socket) -> None:
        request_of(connection)
        connection.sendall(ok(b'{"version": "3.8.1"}'))
        request_of(connection)

    with server(answer_once) as address:
        client = make_client(api_url=f"http://{address}")
        version = client.version()
        with pytest.raises(StackStormUnavailable) as caught:
            client.run_action("core.local", {"cmd": "true"}, trace_tag="t")
        client.close()

    assert version == "3.8.1"
    assert caught.value.may_have_been_sent is True


def test_connections_are_kept() -> None:
    connections = []

    def answer_twice(connection: socket.socket) -> None:
        connections.append(connection)
        while request_of(connection):
            connection.sendall(ok(b'{"version": "3.8.1"}'))

    with server(answer_twice) as address:
        client = make_client(api_url=f"http://{address}")
        client.version()
        client.version()
        client.close()

    assert len(connections) == 1


def test_an_auth_service_out_of_reach_sends_nothing(closed_port: int) -> None:
    auth_url = f"http://127.0.0.1:{closed_port}"
    client = make_login_client(api_url=auth_url, auth_url=auth_url)

    with pytest.raises(StackStormUnavailable) as caught:
        client.run_action("core.local", {"cmd": "true"}, trace_tag="t")

    client.close()
    assert caught.value.may_have_been_sent is False
    assert caught.value.path == "/tokens"


def test_a_login_whose_answer_is_lost_has_started_nothing() -> None:
    with server(hang_up) as address:
        client = make_login_client(api_url=f"http://{address}", auth_url=f"http://{address}")
        with pytest.raises(StackStormUnavailable) as caught:
            client.run_action("core.local", {"cmd": "true"}, trace_tag="t")
        client.close()

    assert caught.value.may_have_been_sent is False


def test_a_proxy_out_of_reach_sends_nothing(
    closed_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{closed_port}")
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)

    error = failure("http://st2.example.com:9101")

    assert error.may_have_been_sent is False


def test_an_earlier_failure_of_the_caller_is_not_taken_for_this_one(closed_port: int) -> None:
    with server(hang_up) as address:
        try:
            raise failure(f"http://127.0.0.1:{closed_port}")
        except StackStormUnavailable:
            error = failure(f"http://{address}")

    assert error.may_have_been_sent is True


def test_what_is_too_late_is_not_sent() -> None:
    received: list[bytes] = []
    with server(lambda connection: received.append(request_of(connection))) as address:
        client = make_client(api_url=f"http://{address}")
        with pytest.raises(TooLateToSend), unless_too_late(lambda: True):
            client.run_action("core.local", {"cmd": "true"}, trace_tag="t")
        client.close()

    assert received in ([], [b""])


def test_whether_it_is_too_late_is_asked_when_the_connection_is_there() -> None:
    connected = threading.Event()
    received: list[bytes] = []

    def accept(connection: socket.socket) -> None:
        connected.set()
        received.append(request_of(connection))

    with server(accept) as address:
        client = make_client(api_url=f"http://{address}")
        with pytest.raises(TooLateToSend), unless_too_late(lambda: connected.wait(PATIENCE)):
            client.run_action("core.local", {"cmd": "true"}, trace_tag="t")
        client.close()

    assert received == [b""]


def test_a_body_that_is_too_late_leaves_the_request_incomplete() -> None:
    received: list[bytes] = []
    asked = iter([False, True])
    is_closed = threading.Event()

    def read_all(connection: socket.socket) -> None:
        while piece := connection.recv(65_536):
            received.append(piece)
        is_closed.set()

    with server(read_all) as address:
        client = make_client(api_url=f"http://{address}")
        with pytest.raises(TooLateToSend), unless_too_late(lambda: next(asked)):
            client.run_action("core.local", {"cmd": "true"}, trace_tag="t")
        client.close()
        assert is_closed.wait(PATIENCE)

    assert b"".join(received).endswith(b"\r\n\r\n")
