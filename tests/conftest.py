"""Rules for every test: no test reaches another machine, and tests can move the clock."""

import ipaddress
import os
import socket
import sys

import hypothesis
import pytest

from remediation import clock

# Deadlines fail under load. In CI hypothesis uses its own profile, which repeats the same examples.
hypothesis.settings.register_profile("no-deadline", deadline=None)
if os.environ.get("CI") != "true":
    hypothesis.settings.load_profile("no-deadline")

LOCAL_NAMES = {"localhost", "", None}

# Processes that tests start must not use this machine's installation.
os.environ["POUNDCAKE_ENV_FILE"] = ""

# A proxy would send requests to another machine, even those for loopback.
os.environ["NO_PROXY"] = os.environ["no_proxy"] = "*"


class LeftThisMachine(Exception):
    """A test tried to reach another machine."""


def _refuse_other_machines(event: str, arguments: tuple[object, ...]) -> None:
    if event in {"socket.getaddrinfo", "socket.gethostbyname"}:
        _refuse_unless_local(arguments[0])
    elif event in {"socket.connect", "socket.sendto"} and isinstance(arguments[1], tuple):
        if event == "socket.connect" and getattr(arguments[0], "type", 0) == socket.SOCK_DGRAM:
            return  # sends nothing
        _refuse_unless_local(arguments[1][0])


def _refuse_unless_local(host: object) -> None:
    name = host.decode("ascii") if isinstance(host, bytes) else host
    if name in LOCAL_NAMES:
        return
    try:
        is_local = ipaddress.ip_address(str(name)).is_loopback
    except ValueError:
        is_local = False
    if not is_local:
        raise LeftThisMachine(f"A test tried to reach {name!r}: tests must stay on this machine")


sys.addaudithook(_refuse_other_machines)


@pytest.fixture(scope="session", autouse=True)
def use_machine_clock():
    """Use the machine's clock on MariaDB too, so that tests can move it."""
    clock._shared = clock.MachineClock
