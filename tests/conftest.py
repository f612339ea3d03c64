"""What holds for every test: no test leaves this machine, and time can be moved."""

import ipaddress
import os
import sys

import hypothesis
import pytest

from remediation import clock

# How long an example takes says nothing on a busy machine. In CI hypothesis has its own profile,
# which plays the same examples every time.
hypothesis.settings.register_profile("unhurried", deadline=None)
if os.environ.get("CI") != "true":
    hypothesis.settings.load_profile("unhurried")

LOCAL_NAMES = {"localhost", "", None}

# A proxy would take the request off this machine, and a request to loopback with it.
os.environ["NO_PROXY"] = os.environ["no_proxy"] = "*"


class LeftThisMachine(Exception):
    """A test tried to reach another machine."""


def _stay_on_this_machine(event: str, arguments: tuple[object, ...]) -> None:
    if event in {"socket.getaddrinfo", "socket.gethostbyname"}:
        _refuse_unless_local(arguments[0])
    elif event in {"socket.connect", "socket.sendto"} and isinstance(arguments[1], tuple):
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
        raise LeftThisMachine(f"A test tried to reach {name!r}; tests stay on this machine")


sys.addaudithook(_stay_on_this_machine)


@pytest.fixture(scope="session", autouse=True)
def one_clock():
    """Take the machine's clock on MariaDB too, so that tests can move it."""
    clock._shared = clock.MachineClock
