"""What network actions may reach: every notation of a refused address, for every action."""

import errno
import inspect
import socket
import sys
from collections.abc import Callable, Iterator
from importlib import import_module
from ipaddress import ip_address, ip_network
from typing import Any

import icmplib
import pytest

from remediation import local_actions
from remediation.local_actions import (
    InvalidParameters,
    LocalActionError,
    LocalActionFailed,
    _targets,
)
from remediation.local_actions._policy import EVERY_NETWORK
from tests.remediation.local_actions.notations import REFUSED, URLS

ANSWERS = {
    "localhost": ["::1", "127.0.0.1"],
    "anything.localhost": ["127.0.0.1"],
    "rebinding.example": ["127.0.0.1"],
    "second-answer.example": ["8.8.8.8", "169.254.169.254"],
    "mapped.example": ["::ffff:7f00:1"],
    "xn--bcher-kva.example": ["10.0.0.255"],
    "web-01": ["10.0.0.7"],
    "web-02": ["2a00::8", "10.0.0.8"],
}
OWN_ADDRESSES = {"10.0.0.5", "2a00::5"}
BROADCAST_ADDRESSES = {"10.0.0.255"}

ACTIONS: dict[str, Callable[[str], dict[str, object]]] = {
    "ping": lambda host: {"host": host, "count": 1},
    "tcp_check": lambda host: {"host": host, "port": 80},
    "http_request": lambda host: {"url": _url(host), "method": "POST"},
}


def _url(host: str) -> str:
    return f"http://[{host}]/" if ":" in host else f"http://{host}/"


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


class Network:
    """A fake name server, and the addresses that this process tried to reach."""

    def __init__(self) -> None:
        self.questions: list[str] = []
        self.reached: list[str] = []
        self.is_on = False

    def getaddrinfo(self, host: Any, port: Any, *_rest: Any, **_options: Any) -> list[Any]:
        answers = [host]
        if not _is_address(host):
            self.questions.append(host)
            if host not in ANSWERS:
                raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
            answers = ANSWERS[host]
        return [
            (
                socket.AF_INET6 if ":" in answer else socket.AF_INET,
                *(socket.SOCK_STREAM, 6, ""),
                (answer, port or 0),
            )
            for answer in answers
        ]

    def ping(self, address: str, **_options: Any) -> icmplib.Host:
        self.reached.append(address)
        return icmplib.Host(address, 1, [1.0])

    def connect(self, _connection: socket.socket, address: tuple[Any, ...]) -> None:
        self.reached.append(str(address[0]))
        raise ConnectionRefusedError(111, "Connection refused")

    def record(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self.is_on and event in {"socket.connect", "socket.sendto", "socket.sendmsg"}:
            self.reached.append(str(arguments[1]))


NETWORK = Network()
# For packets that leave in another way than by ``connect``.
sys.addaudithook(NETWORK.record)


def own_kind(address: Any) -> str:
    if str(address) in BROADCAST_ADDRESSES:
        return "broadcast"
    return "PoundCake itself" if str(address) in OWN_ADDRESSES else ""


@pytest.fixture
def network(monkeypatch, set_policy) -> Iterator[Network]:
    set_policy(own_hosts=["poundcake.example", "10.9.9.9", "localhost", ".example"])
    monkeypatch.setattr(socket, "getaddrinfo", NETWORK.getaddrinfo)
    monkeypatch.setattr(socket.socket, "connect", lambda *arguments: NETWORK.connect(*arguments))
    monkeypatch.setattr(icmplib, "ping", NETWORK.ping)
    monkeypatch.setattr(_targets, "_own_kind", own_kind)
    NETWORK.questions, NETWORK.reached, NETWORK.is_on = [], [], True
    yield NETWORK
    NETWORK.is_on = False


def reach(action: str, host: str) -> dict[str, object]:
    return local_actions.run(action, ACTIONS[action](host))


@pytest.mark.parametrize("notation", REFUSED)
def test_no_action_reaches_a_refused_target_in_any_notation(network, notation):
    for action in ACTIONS:
        if action == "http_request" and (set(notation) & set("/@[]\\#\n") or not notation):
            continue  # another URL; see the next test

        with pytest.raises(InvalidParameters) as refused:
            reach(action, notation)

        [(parameter, problem)] = refused.value.errors.items()
        assert parameter == ("url" if action == "http_request" else "host")
        if action == "http_request" and problem.startswith("must be"):
            assert REFUSED[notation] in ("must be", "four decimal numbers", "zone")
        else:
            assert REFUSED[notation] in problem
        assert problem.startswith("must be") or "LOCAL_ACTION_ALLOWED_" in problem
    assert network.reached == []


@pytest.mark.parametrize("url", URLS)
def test_no_url_reaches_a_refused_target(network, url):
    with pytest.raises(InvalidParameters, match=URLS[url]):
        local_actions.run("http_request", {"url": url})

    assert network.reached == []


@pytest.mark.parametrize("action", ACTIONS)
@pytest.mark.parametrize(
    "host", ["8.8.8.8", "10.0.0.7", "192.168.0.1", "100.64.0.1", "fd00::1", "64:ff9b::8.8.8.8"]
)
def test_other_addresses_are_reached(network, action, host):
    assert outcome(action, host) == "reached"

    assert network.reached == [str(ip_address(host))]
    assert network.questions == []


@pytest.mark.parametrize("action", ACTIONS)
def test_a_name_is_resolved_once_and_its_address_is_reached(network, action, monkeypatch):
    answers = iter([["10.0.0.7"], ["127.0.0.1"]])

    def rebind(host, port, *rest, **options):
        if host == "web-01":
            monkeypatch.setitem(ANSWERS, "web-01", next(answers))
        return NETWORK.getaddrinfo(host, port, *rest, **options)

    monkeypatch.setattr(socket, "getaddrinfo", rebind)

    assert outcome(action, "web-01") == "reached"

    assert network.reached == ["10.0.0.7"]
    assert network.questions == ["web-01"]


@pytest.mark.parametrize("action", ["tcp_check", "http_request"])
def test_every_address_of_a_host_is_tried(network, action):
    with pytest.raises(LocalActionFailed, match="Connection refused"):
        reach(action, "web-02")

    assert network.reached == ["2a00::8", "10.0.0.8"]
    assert network.questions == ["web-02"]


@pytest.mark.parametrize("action", ACTIONS)
@pytest.mark.parametrize(
    ("networks", "host", "problem"),
    [
        (["10.0.0.0/8"], "10.0.0.7", None),
        (["10.0.0.0/8"], "web-01", None),
        (["10.0.0.0/8"], "8.8.8.8", "in no network of LOCAL_ACTION_ALLOWED_NETWORKS"),
        (["10.0.0.0/8"], "fd00::1", "in no network of LOCAL_ACTION_ALLOWED_NETWORKS"),
        (["127.0.0.0/8"], "127.0.0.1", None),
        (["127.0.0.1"], "127.0.0.1", None),
        (["127.0.0.1"], "127.0.0.2", "lists 127.0.0.0/8 or a network inside it"),
        (["127.0.0.0/8"], "8.8.8.8", "in no network"),
        ([*EVERY_NETWORK, "127.0.0.0/8"], "::1", "loopback"),
        ([*EVERY_NETWORK, "169.254.0.0/16"], "169.254.1.1", None),
        ([*EVERY_NETWORK, "169.254.0.0/16"], "169.254.169.254", "lists 169.254.169.254/32"),
        ([*EVERY_NETWORK, "169.254.169.254"], "169.254.169.254", None),
        ([*EVERY_NETWORK, "10.0.0.0/8"], "10.0.0.5", "PoundCake itself"),
        ([*EVERY_NETWORK, "10.0.0.5"], "10.0.0.5", None),
        ([*EVERY_NETWORK, "64:ff9b::/96"], "64:ff9b::127.0.0.1", "loopback"),
    ],
)
def test_a_setting_allows_and_restricts_networks(
    network, action, set_policy, networks, host, problem
):
    set_policy(networks=networks)

    check(network, action, host, problem)


@pytest.mark.parametrize("action", ACTIONS)
@pytest.mark.parametrize(
    ("hosts", "host", "problem"),
    [
        (["*"], "web-01", None),
        (["web-*"], "WEB-01", None),
        (["WEB-01"], "web-01.", None),
        (["web-02"], "web-01", "which LOCAL_ACTION_ALLOWED_HOSTS does not allow"),
        (["*.example"], "10.0.0.7", "which LOCAL_ACTION_ALLOWED_HOSTS does not allow"),
        (["10.0.0.*"], "10.0.0.7", None),
        (["rebinding.example"], "rebinding.example", "loopback"),
        (["*", "poundcake.example"], "poundcake.example", "Name or service not known"),
        (["*", "instance-data"], "instance-data", "Name or service not known"),
    ],
)
def test_a_setting_restricts_hosts(network, action, set_policy, hosts, host, problem):
    set_policy(hosts=hosts, own_hosts=["poundcake.example"])

    check(network, action, host, problem)


def check(network: Network, action: str, host: str, problem: str | None) -> None:
    """Check that the action reaches the host, or fails with the problem."""
    assert (problem or "reached") in outcome(action, host)
    assert bool(network.reached) == (problem is None)


def outcome(action: str, host: str) -> str:
    """Return "reached", or the error."""
    try:
        reach(action, host)
    except LocalActionError as failed:
        error = str(failed)
        return "reached" if "Connection refused" in error else error
    return "reached"


def test_every_action_that_contacts_a_host_checks_it():
    contacting = {name for name in local_actions.names() if local_actions.destinations(name)}

    assert contacting == set(ACTIONS), "add the action to the table of this test"
    for name in contacting:
        module = import_module(f"remediation.local_actions.{name}")
        assert "_targets.addresses(" in inspect.getsource(module)


def test_addresses_of_this_machine_are_recognized(set_policy, monkeypatch):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("8.8.8.8", 9))  # sends nothing
        except OSError:
            pytest.skip("this machine has only loopback interfaces")
        own = probe.getsockname()[0]
    set_policy(networks=[*EVERY_NETWORK, str(ip_network(f"{own}/24", strict=False))])
    monkeypatch.setattr(socket, "getaddrinfo", NETWORK.getaddrinfo)

    with pytest.raises(InvalidParameters, match=f"names {own}, PoundCake itself"):
        local_actions.run("tcp_check", {"host": own, "port": 80})


def test_a_machine_without_ipv6_reaches_the_ipv4_address_of_a_host(network, monkeypatch):
    monkeypatch.undo()
    monkeypatch.setattr(socket, "getaddrinfo", NETWORK.getaddrinfo)

    class Ipv4Only(socket.socket):
        def __init__(self, family=socket.AF_INET, *rest, **options):
            if family == socket.AF_INET6:
                raise OSError(errno.EAFNOSUPPORT, "Address family not supported by protocol")
            super().__init__(family, *rest, **options)

        def connect(self, address):
            if self.type == socket.SOCK_STREAM:
                NETWORK.connect(self, address)
            super().connect(address)

    monkeypatch.setattr(socket, "socket", Ipv4Only)
    NETWORK.is_on = False

    with pytest.raises(LocalActionFailed, match="Connection refused"):
        reach("tcp_check", "web-02")

    assert network.reached == ["10.0.0.8"]
