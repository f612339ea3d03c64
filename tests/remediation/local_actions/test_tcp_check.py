"""tcp_check, against real sockets."""

import socket

import pytest

from remediation import local_actions
from remediation.local_actions import LocalActionFailed

pytestmark = pytest.mark.usefixtures("allow_loopback")


@pytest.fixture
def listener():
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server


@pytest.fixture
def full_listener():
    # Its queue holds one connection; the kernel silently drops the next.
    with (
        socket.create_server(("127.0.0.1", 0), backlog=0) as server,
        socket.create_connection(server.getsockname()),
    ):
        yield server


def port_of(server: socket.socket) -> int:
    return int(server.getsockname()[1])


def test_a_port_that_accepts_connections_is_success(listener):
    result = local_actions.run("tcp_check", {"host": "127.0.0.1", "port": port_of(listener)})

    assert result["address"] == "127.0.0.1"
    assert result["port"] == port_of(listener)
    assert 0 <= float(str(result["connect_seconds"])) < 5


def test_nothing_is_sent_and_the_connection_is_closed(listener):
    local_actions.run("tcp_check", {"host": "127.0.0.1", "port": port_of(listener)})

    connection, _ = listener.accept()
    with connection:
        assert connection.recv(1) == b""


def test_a_refused_connection_is_a_failure_with_the_reason(listener):
    port = port_of(listener)
    listener.close()

    with pytest.raises(
        LocalActionFailed, match=rf"127\.0\.0\.1 port {port} .*: Connection refused"
    ):
        local_actions.run("tcp_check", {"host": "127.0.0.1", "port": port})


def test_a_port_that_does_not_respond_times_out(full_listener):
    port = port_of(full_listener)

    with pytest.raises(LocalActionFailed, match=r"within 0\.1 s") as failed:
        local_actions.run("tcp_check", {"host": "127.0.0.1", "port": port, "timeout_seconds": 0.1})

    assert failed.value.result == {"host": "127.0.0.1", "port": port}


def test_an_unknown_host_name_is_a_failure_with_the_reason(monkeypatch):
    def fail(*_arguments, **_options):
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", fail)

    with pytest.raises(LocalActionFailed, match=r"web\.invalid port 22 .*: Name or service not"):
        local_actions.run("tcp_check", {"host": "web.invalid", "port": 22})
