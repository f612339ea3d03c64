"""ping: real packets on loopback where the host permits them, icmplib's boundary elsewhere."""

import icmplib
import pytest

from remediation import local_actions
from remediation.local_actions import LocalActionFailed


def test_loopback_answers():
    try:
        result = local_actions.run("ping", {"host": "127.0.0.1", "count": 1})
    except LocalActionFailed as error:
        if "does not let PoundCake send ICMP" in str(error):
            pytest.skip(str(error))
        raise

    assert (result["address"], result["packets_sent"], result["packets_received"]) == (
        "127.0.0.1",
        1,
        1,
    )
    assert float(str(result["rtt_avg_ms"])) > 0


class Icmp:
    """Stands where ``icmplib.ping`` stands; answers each call with the next outcome."""

    def __init__(self, *outcomes):
        self.outcomes = list(outcomes)
        self.calls: list[dict[str, object]] = []

    def __call__(self, host, **options):
        self.calls.append(options | {"host": host})
        outcome = self.outcomes.pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome


def install(monkeypatch, *outcomes) -> Icmp:
    icmp = Icmp(*outcomes)
    monkeypatch.setattr(icmplib, "ping", icmp)
    return icmp


def test_a_host_that_permits_no_icmp_is_told_what_to_allow(monkeypatch):
    install(monkeypatch, icmplib.SocketPermissionError(False), icmplib.SocketPermissionError(True))

    with pytest.raises(LocalActionFailed, match=r"ping_group_range.*CAP_NET_RAW"):
        local_actions.run("ping", {"host": "web-01"})


def test_privileged_sockets_are_the_second_choice(monkeypatch):
    icmp = install(
        monkeypatch,
        icmplib.SocketPermissionError(False),
        icmplib.Host("192.0.2.1", 2, [1.0, 3.0]),
    )

    result = local_actions.run("ping", {"host": "web-01", "count": "2", "timeout_seconds": 0.5})

    assert result == {
        "host": "web-01",
        "address": "192.0.2.1",
        "packets_sent": 2,
        "packets_received": 2,
        "rtt_min_ms": 1.0,
        "rtt_avg_ms": 2.0,
        "rtt_max_ms": 3.0,
    }
    assert [call["privileged"] for call in icmp.calls] == [False, True]
    assert icmp.calls[1]["count"] == 2
    assert icmp.calls[1]["timeout"] == 0.5


def test_one_answer_is_success(monkeypatch):
    install(monkeypatch, icmplib.Host("192.0.2.1", 3, [1.0]))

    result = local_actions.run("ping", {"host": "web-01"})

    assert result["packets_received"] == 1


def test_silence_is_a_failure_that_keeps_the_counts(monkeypatch):
    install(monkeypatch, icmplib.Host("192.0.2.1", 3, []))

    with pytest.raises(LocalActionFailed, match="web-01 answered none of 3 packets") as failed:
        local_actions.run("ping", {"host": "web-01"})

    assert failed.value.result["packets_sent"] == 3


def test_a_name_that_nobody_knows_is_a_failure_with_the_reason(monkeypatch):
    install(monkeypatch, icmplib.NameLookupError("web.invalid"))

    with pytest.raises(LocalActionFailed, match=r"'web\.invalid' cannot be resolved"):
        local_actions.run("ping", {"host": "web.invalid"})


def test_the_longest_ping_ends_before_every_action_has_to():
    ping = local_actions.get("ping")
    count = ping.parameters["count"].type.maximum
    timeout = ping.parameters["timeout_seconds"].type.maximum

    assert count * (timeout + 0.2) < local_actions.MAX_SECONDS
