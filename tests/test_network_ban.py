"""The network ban for tests: loopback is allowed, other machines are not."""

import socket

import pytest

from tests.conftest import LeftThisMachine


@pytest.mark.parametrize("host", ["example.com", "192.0.2.1", "2001:db8::1", b"example.com"])
def test_names_of_other_machines_are_not_resolved(host):
    with pytest.raises(LeftThisMachine, match="tests must stay on this machine"):
        socket.getaddrinfo(host, 80)


@pytest.mark.parametrize("method", ["connect", "connect_ex"])
def test_connections_to_other_machines_are_refused(method):
    with socket.socket() as client, pytest.raises(LeftThisMachine, match=r"192\.0\.2\.1"):
        getattr(client, method)(("192.0.2.1", 80))


def test_datagrams_to_other_machines_are_refused():
    with socket.socket(type=socket.SOCK_DGRAM) as client, pytest.raises(LeftThisMachine):
        client.sendto(b"x", ("192.0.2.1", 53))


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.8.8.8"])
def test_loopback_is_allowed(host):
    with socket.create_server(("127.0.0.1", 0)):
        assert socket.getaddrinfo(host, 80)
