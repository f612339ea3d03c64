"""ping: does a host answer ICMP echo requests?"""

from collections.abc import Mapping
from typing import Any

import icmplib

from remediation.local_actions import (
    Host,
    Integer,
    LocalAction,
    LocalActionFailed,
    Number,
    Parameter,
)

# Ten packets that all stay unanswered for four seconds end before any action has to.
MAX_PACKETS = 10
MAX_TIMEOUT_SECONDS = 4.0
INTERVAL_SECONDS = 0.2  # between two packets

PERMISSION_ADVICE = (
    "This host does not let PoundCake send ICMP. Allow it with "
    'sysctl -w net.ipv4.ping_group_range="0 2147483647", '
    "or give the worker the capability CAP_NET_RAW, or use tcp_check"
)


class Ping(LocalAction):
    """Send ICMP echo requests; one answer is success."""

    name = "ping"
    description = "Check that a host answers ICMP echo requests"
    parameters = {
        "host": Parameter(Host(), "Host name or IP address", required=True),
        "count": Parameter(Integer(1, MAX_PACKETS), "How many packets to send", default=3),
        "timeout_seconds": Parameter(
            Number(0.1, MAX_TIMEOUT_SECONDS), "How long to wait for each answer", default=1.0
        ),
    }
    is_repeatable = True

    def run(self, parameters: Mapping[str, Any], *, deadline_seconds: float) -> dict[str, object]:
        """Return the packets sent and received, and the round trip times in milliseconds."""
        host = parameters["host"]
        try:
            answers = _ping(
                host,
                count=parameters["count"],
                timeout=min(parameters["timeout_seconds"], deadline_seconds),
            )
        except icmplib.SocketPermissionError:
            raise LocalActionFailed(PERMISSION_ADVICE, {"host": host}) from None
        except icmplib.ICMPLibError as error:
            raise LocalActionFailed(f"{host} cannot be pinged: {error}", {"host": host}) from error
        result = {
            "host": host,
            "address": answers.address,
            "packets_sent": answers.packets_sent,
            "packets_received": answers.packets_received,
            "rtt_min_ms": answers.min_rtt,
            "rtt_avg_ms": answers.avg_rtt,
            "rtt_max_ms": answers.max_rtt,
        }
        if not answers.is_alive:
            raise LocalActionFailed(
                f"{host} answered none of {answers.packets_sent} packets", result
            )
        return result


def _ping(host: str, *, count: int, timeout: float) -> icmplib.Host:
    options = {"count": count, "interval": INTERVAL_SECONDS, "timeout": timeout}
    try:
        return icmplib.ping(host, privileged=False, **options)
    except icmplib.ICMPSocketError:
        # Not this way: the group is not allowed, or the kernel has no such sockets.
        return icmplib.ping(host, privileged=True, **options)


action = Ping()
