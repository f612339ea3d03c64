"""ping: check that a host responds to ICMP echo requests."""

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
    _targets,
)
from remediation.local_actions._policy import Address

# Even ten packets with a timeout of four seconds each end within the limit of every action.
MAX_PACKETS = 10
MAX_TIMEOUT_SECONDS = 4.0
INTERVAL_SECONDS = 0.2  # between two packets

PERMISSION_HINT = (
    "PoundCake may not send ICMP on this host. Allow it with "
    'sysctl -w net.ipv4.ping_group_range="0 2147483647", '
    "or give the worker the capability CAP_NET_RAW, or use tcp_check"
)


class Ping(LocalAction):
    """Send ICMP echo requests; one reply counts as success."""

    name = "ping"
    description = "Check that a host responds to ICMP echo requests"
    parameters = {
        "host": Parameter(Host(), "Host name or IP address", required=True),
        "count": Parameter(Integer(1, MAX_PACKETS), "Number of packets", default=3),
        "timeout_seconds": Parameter(
            Number(0.1, MAX_TIMEOUT_SECONDS), "Timeout of each packet", default=1.0
        ),
    }
    is_repeatable = True

    def run(self, parameters: Mapping[str, Any], *, deadline_seconds: float) -> dict[str, object]:
        """Return the packets sent and received, and the round trip times in milliseconds."""
        host = parameters["host"]
        try:
            address, *_others = _targets.addresses(host, action=self.name, parameter="host")
            replies = _ping(
                address,
                count=parameters["count"],
                timeout=min(parameters["timeout_seconds"], deadline_seconds),
            )
        except icmplib.SocketPermissionError:
            raise LocalActionFailed(PERMISSION_HINT, {"host": host}) from None
        except icmplib.ICMPLibError as error:
            raise LocalActionFailed(f"{host} cannot be pinged: {error}", {"host": host}) from error
        except OSError as error:
            raise LocalActionFailed(
                f"{host} cannot be pinged: {error.strerror}", {"host": host}
            ) from error
        result = {
            "host": host,
            "address": replies.address,
            "packets_sent": replies.packets_sent,
            "packets_received": replies.packets_received,
            "rtt_min_ms": replies.min_rtt,
            "rtt_avg_ms": replies.avg_rtt,
            "rtt_max_ms": replies.max_rtt,
        }
        if not replies.is_alive:
            raise LocalActionFailed(
                f"{host} replied to none of {replies.packets_sent} packets", result
            )
        return result


def _ping(address: Address, *, count: int, timeout: float) -> icmplib.Host:
    options = {"count": count, "interval": INTERVAL_SECONDS, "timeout": timeout}
    try:
        return icmplib.ping(str(address), privileged=False, **options)
    except icmplib.ICMPSocketError:
        # Unprivileged ICMP is not allowed for this group, or not supported by the kernel.
        return icmplib.ping(str(address), privileged=True, **options)


action = Ping()
