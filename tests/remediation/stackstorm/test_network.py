"""Network failures on real sockets, and whether the request may have been sent."""

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
MAX_WAIT = 10.0  # seconds, for a test that hangs


def request_of(connection: socket.socket) -> bytes:
    """Return the next request, with the part of its body that has arrived."""
    received = b""
    while b"\r\n\r\n" not in received:
        chunk = connection.recv(65536)
        if not chunk:
            break
        received += chunk
    return received


def hang_up(connection: socket.socket) -> None:
    """Read a request and return without a response, which closes the connection."""
    request_of(connection)


def ok(body: bytes) -> bytes:
    return OK % (len(body), body)


@contextmanager
def server(behave: Behavior) -> Iterator[str]:
    """Handle each connection with ``behave`` in a thread, then close it; yield host and port."""
    listener = socket.create_server(("127.0.0.1", 0))
    threads: list[threading.Thread] = []

    def serve(connection: socket.socket) -> None:
        with connection:
            connection.settimeout(MAX_WAIT)
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
            thread.join(MAX_WAIT)


def failure(url: str, **overrides: Any) -> StackStormUnavailable:
    """Return the error of a launch at ``url`` that gets no response."""
    error = failure_of_any_status(url, **overrides)
    assert error.status is None
    return error


def failure_of_any_status(url: str, **overrides: Any) -> StackStormUnavailable:
    """Return the error of a launch at ``url``, with or without a response."""
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


def test_an_unknown_host_name_sends_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_arguments: object) -> NoReturn:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", fail)

    error = failure("http://no-such-host.invalid:9101")

    assert error.may_have_been_sent is False
    assert "at no-such-host.invalid:9101" in str(error)


def test_a_connect_timeout_sends_nothing() -> None:
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
    def respond_without_tls(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")

    with server(respond_without_tls) as netloc:
        error = failure(f"https://{netloc}")

    assert error.may_have_been_sent is False
    assert "SSL" in error.message


@pytest.mark.parametrize("closes", [True, False])
def test_a_broken_or_hanging_handshake_sends_nothing(closes: bool) -> None:
    is_done = threading.Event()

    def close_or_hang(connection: socket.socket) -> None:
        connection.recv(65536)
        if not closes:
            is_done.wait(MAX_WAIT)

    with server(close_or_hang) as netloc:
        error = failure(f"https://{netloc}", timeout=0.2)
        is_done.set()

    assert error.may_have_been_sent is False


def test_a_connection_closed_before_the_response_is_ambiguous() -> None:
    with server(hang_up) as netloc:
        error = failure(f"http://{netloc}")

    assert error.may_have_been_sent is True
    assert error.message == f"Remote end closed connection without response at {netloc}"


def test_a_missing_response_is_ambiguous() -> None:
    is_done = threading.Event()

    def hang(connection: socket.socket) -> None:
        request_of(connection)
        is_done.wait(MAX_WAIT)

    with server(hang) as netloc:
        error = failure(f"http://{netloc}", timeout=0.2)
        is_done.set()

    assert error.may_have_been_sent is True
    assert error.message == f"timed out at {netloc}"


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
def test_an_incomplete_or_invalid_response_is_ambiguous(beginning: bytes) -> None:
    def send_the_beginning(connection: socket.socket) -> None:
        request_of(connection)
        connection.sendall(beginning)

    with server(send_the_beginning) as netloc:
        error = failure_of_any_status(f"http://{netloc}")

    assert error.may_have_been_sent is True


def test_a_pooled_connection_that_was_closed_is_ambiguous() -> None:
    def respond_once(connection: socket.socket) -> None:
        request_of(connection)
        connection.sendall(ok(b'{"version": "3.8.1"}'))
        request_of(connection)

    with server(respond_once) as netloc:
        client = make_client(api_url=f"http://{netloc}")
        version = client.version()
        with pytest.raises(StackStormUnavailable) as caught:
            client.run_action("core.local", {"cmd": "true"}, trace_tag="t")
        client.close()

    assert version == "3.8.1"
    assert caught.value.may_have_been_sent is True


def test_connections_are_reused() -> None:
    connections = []

    def respond_to_all(connection: socket.socket) -> None:
        connections.append(connection)
        while request_of(connection):
            connection.sendall(ok(b'{"version": "3.8.1"}'))

    with server(respond_to_all) as netloc:
        client = make_client(api_url=f"http://{netloc}")
        client.version()
        client.version()
        client.close()

    assert len(connections) == 1


def test_an_unreachable_auth_service_sends_nothing(closed_port: int) -> None:
    auth_url = f"http://127.0.0.1:{closed_port}"
    client = make_login_client(api_url=auth_url, auth_url=auth_url)

    with pytest.raises(StackStormUnavailable) as caught:
        client.run_action("core.local", {"cmd": "true"}, trace_tag="t")

    client.close()
    assert caught.value.may_have_been_sent is False
    assert caught.value.path == "/tokens"


def test_a_login_without_a_response_starts_nothing() -> None:
    with server(hang_up) as netloc:
        client = make_login_client(api_url=f"http://{netloc}", auth_url=f"http://{netloc}")
        with pytest.raises(StackStormUnavailable) as caught:
            client.run_action("core.local", {"cmd": "true"}, trace_tag="t")
        client.close()

    assert caught.value.may_have_been_sent is False


def test_an_unreachable_proxy_sends_nothing(
    closed_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{closed_port}")
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)

    error = failure("http://st2.example.com:9101")

    assert error.may_have_been_sent is False


def test_an_error_that_the_caller_handles_does_not_affect_a_later_one(closed_port: int) -> None:
    with server(hang_up) as netloc:
        try:
            raise failure(f"http://127.0.0.1:{closed_port}")
        except StackStormUnavailable:
            error = failure(f"http://{netloc}")

    assert error.may_have_been_sent is True


def test_nothing_is_sent_after_the_deadline() -> None:
    received: list[bytes] = []
    with server(lambda connection: received.append(request_of(connection))) as netloc:
        client = make_client(api_url=f"http://{netloc}")
        with pytest.raises(TooLateToSend), unless_too_late(lambda: True):
            client.run_action("core.local", {"cmd": "true"}, trace_tag="t")
        client.close()

    assert received in ([], [b""])


def test_the_deadline_is_checked_after_connecting() -> None:
    connected = threading.Event()
    received: list[bytes] = []

    def accept(connection: socket.socket) -> None:
        connected.set()
        received.append(request_of(connection))

    with server(accept) as netloc:
        client = make_client(api_url=f"http://{netloc}")
        with pytest.raises(TooLateToSend), unless_too_late(lambda: connected.wait(MAX_WAIT)):
            client.run_action("core.local", {"cmd": "true"}, trace_tag="t")
        client.close()

    assert received == [b""]


def test_a_deadline_before_the_body_leaves_the_request_incomplete() -> None:
    received: list[bytes] = []
    checks = iter([False, True])
    is_closed = threading.Event()

    def read_all(connection: socket.socket) -> None:
        while piece := connection.recv(65_536):
            received.append(piece)
        is_closed.set()

    with server(read_all) as netloc:
        client = make_client(api_url=f"http://{netloc}")
        with pytest.raises(TooLateToSend), unless_too_late(lambda: next(checks)):
            client.run_action("core.local", {"cmd": "true"}, trace_tag="t")
        client.close()
        assert is_closed.wait(MAX_WAIT)

    assert b"".join(received).endswith(b"\r\n\r\n")
