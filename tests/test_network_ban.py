"""The ban itself: loopback is open, every other machine is out of reach."""

import socket

import pytest

from tests.conftest import LeftThisMachine


@pytest.mark.parametrize("host", ["example.com", "192.0.2.1", "2001:db8::1", b"example.com"])
def test_no_other_machine_is_looked_up(host):
    with pytest.raises(LeftThisMachine, match="tests stay on this machine"):
        socket.getaddrinfo(host, 80)


@pytest.mark.parametrize("method", ["connect", "connect_ex"])
def test_no_other_machine_is_connected_to(method):
    with socket.socket() as client, pytest.raises(LeftThisMachine, match=r"192\.0\.2\.1"):
        getattr(client, method)(("192.0.2.1", 80))


def test_nothing_is_sent_to_another_machine():
    with socket.socket(type=socket.SOCK_DGRAM) as client, pytest.raises(LeftThisMachine):
        client.sendto(b"x", ("192.0.2.1", 53))


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.8.8.8"])
def test_loopback_is_open(host):
    with socket.create_server(("127.0.0.1", 0)):
        assert socket.getaddrinfo(host, 80)
