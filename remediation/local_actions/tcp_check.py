"""tcp_check: check that a port accepts connections."""

import socket
from collections.abc import Mapping
from time import monotonic
from typing import Any

from remediation.local_actions import (
    Host,
    LocalAction,
    LocalActionFailed,
    Number,
    Parameter,
    Port,
    _targets,
)
from remediation.local_actions._policy import Address


class TcpCheck(LocalAction):
    """Connect to a TCP port and close the connection without sending anything."""

    name = "tcp_check"
    description = "Check that a TCP port accepts connections"
    parameters = {
        "host": Parameter(Host(), "Host name or IP address", required=True),
        "port": Parameter(Port(), "TCP port", required=True),
        "timeout_seconds": Parameter(
            Number(0.1, 40), "Timeout for each address of the host", default=5.0
        ),
    }
    is_repeatable = True

    def run(self, parameters: Mapping[str, Any], *, deadline_seconds: float) -> dict[str, object]:
        """Return ``{"host", "port", "address", "connect_seconds"}``."""
        host, port = parameters["host"], parameters["port"]
        timeout = min(parameters["timeout_seconds"], deadline_seconds)
        target = {"host": host, "port": port}
        begin = monotonic()
        try:
            address = self._connect(host, port, timeout)
        except TimeoutError:
            raise LocalActionFailed(
                f"{host} port {port} did not accept a connection within {timeout:g} s", target
            ) from None
        except OSError as error:
            raise LocalActionFailed(
                f"{host} port {port} did not accept a connection: {error.strerror}", target
            ) from error
        return target | {"address": str(address), "connect_seconds": round(monotonic() - begin, 6)}

    def _connect(self, host: str, port: int, timeout: float) -> Address:
        """Connect and return the address; try the addresses in order, as create_connection does."""
        *others, last = _targets.addresses(host, action=self.name, parameter="host")
        for address in others:
            try:
                _connect_to(address, port, timeout)
            except OSError:
                continue
            return address
        _connect_to(last, port, timeout)
        return last


def _connect_to(address: Address, port: int, timeout: float) -> None:
    socket.create_connection((str(address), port), timeout=timeout).close()


action = TcpCheck()
