"""ping, with real packets on loopback if the host allows them, else with a fake icmplib."""

import socket
from typing import Any

import icmplib
import pytest

from remediation import local_actions
from remediation.local_actions import LocalActionFailed

pytestmark = pytest.mark.usefixtures("allow_loopback")


def test_loopback_responds():
    try:
        result = local_actions.run("ping", {"host": "127.0.0.1", "count": 1})
    except LocalActionFailed as error:
        if "may not send ICMP" in str(error):
            pytest.skip(str(error))
        raise

    assert (result["address"], result["packets_sent"], result["packets_received"]) == (
        "127.0.0.1",
        1,
        1,
    )
    assert float(str(result["rtt_avg_ms"])) > 0


class FakePing:
    """A fake ``icmplib.ping`` that returns or raises the next outcome."""

    def __init__(self, *outcomes):
        self.outcomes = list(outcomes)
        self.calls: list[dict[str, object]] = []

    def __call__(self, host, **options):
        self.calls.append(options | {"host": host})
        outcome = self.outcomes.pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome


def install(monkeypatch, *outcomes) -> FakePing:
    fake = FakePing(*outcomes)
    monkeypatch.setattr(icmplib, "ping", fake)
    return fake


def test_missing_icmp_permission_is_a_failure_with_a_hint(monkeypatch):
    install(monkeypatch, icmplib.SocketPermissionError(False), icmplib.SocketPermissionError(True))

    with pytest.raises(LocalActionFailed, match=r"ping_group_range.*CAP_NET_RAW"):
        local_actions.run("ping", {"host": "localhost"})


def test_privileged_sockets_are_the_fallback(monkeypatch):
    fake = install(
        monkeypatch,
        icmplib.SocketPermissionError(False),
        icmplib.Host("192.0.2.1", 2, [1.0, 3.0]),
    )

    result = local_actions.run("ping", {"host": "localhost", "count": "2", "timeout_seconds": 0.5})

    assert result == {
        "host": "localhost",
        "address": "192.0.2.1",
        "packets_sent": 2,
        "packets_received": 2,
        "rtt_min_ms": 1.0,
        "rtt_avg_ms": 2.0,
        "rtt_max_ms": 3.0,
    }
    assert [call["privileged"] for call in fake.calls] == [False, True]
    assert fake.calls[1]["count"] == 2
    assert fake.calls[1]["timeout"] == 0.5


def test_one_reply_is_success(monkeypatch):
    install(monkeypatch, icmplib.Host("192.0.2.1", 3, [1.0]))

    result = local_actions.run("ping", {"host": "localhost"})

    assert result["packets_received"] == 1


def test_no_reply_is_a_failure_with_the_counts(monkeypatch):
    install(monkeypatch, icmplib.Host("192.0.2.1", 3, []))

    with pytest.raises(LocalActionFailed, match="localhost replied to none of 3 packets") as failed:
        local_actions.run("ping", {"host": "localhost"})

    assert failed.value.result["packets_sent"] == 3


def test_an_unknown_host_name_is_a_failure_with_the_reason(monkeypatch):
    def fail(*_arguments, **_options):
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", fail)

    with pytest.raises(LocalActionFailed, match=r"web\.invalid cannot be pinged: Name or service"):
        local_actions.run("ping", {"host": "web.invalid"})


def test_the_longest_ping_ends_within_the_limit_of_all_actions():
    ping = local_actions.get("ping")
    count: Any = ping.parameters["count"].type
    timeout: Any = ping.parameters["timeout_seconds"].type

    assert count.maximum * (timeout.maximum + 0.2) < local_actions.MAX_SECONDS
