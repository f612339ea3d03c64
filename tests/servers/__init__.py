"""Start real servers for the tests: private, on this machine, removed afterwards.

Programs are looked up in PATH and in var/parts, where scripts/test-parts.sh unpacks those that are
not installed. Without the program a test is skipped with the reason; in CI it fails.
"""

import os
import shutil
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from subprocess import DEVNULL, STDOUT, Popen
from tempfile import TemporaryDirectory
from time import monotonic, sleep
from typing import NoReturn, TypeVar

import pytest

UNPACKED = Path(__file__).resolve().parents[2] / "var" / "parts" / "usr" / "bin"
START_SECONDS = 300.0  # timeout until a server answers, on a busy machine
POLL_SECONDS = 0.02

Server = TypeVar("Server")


class ServerMissing(Exception):
    """A server program is not installed; the message names it and how to get it."""


class ServerFailed(Exception):
    """A server did not become ready; the message holds the end of its log."""


def find_program(name: str, *, package: str) -> Path:
    """Return the path of a program.

    Raises ServerMissing, which names the Debian package.
    """
    places = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", str(UNPACKED)])
    found = shutil.which(name, path=places)
    if found is None:
        raise ServerMissing(
            f"{name} is missing (Debian package {package}): run scripts/test-parts.sh"
        )
    return Path(found)


@contextmanager
def skip_if_missing(server: AbstractContextManager[Server]) -> Iterator[Server]:
    """Start a server for a fixture. Without its program skip the test; in CI fail it."""
    with ExitStack() as stack:
        try:
            started = stack.enter_context(server)
        except ServerMissing as missing:
            _skip_or_fail(str(missing))
        yield started


def is_ci() -> bool:
    """Return whether this is CI, where no test may be skipped."""
    return os.environ.get("CI") == "true"


@contextmanager
def run_server(
    command: Sequence[str], *, is_ready: Callable[[], bool], directory: Path | None = None
) -> Iterator[Popen[bytes]]:
    """Run a server process, wait until it is ready, and kill it at the end of the block.

    The kernel kills it when this process dies. Raises ServerFailed when it does not become ready.
    """
    with TemporaryDirectory(prefix="poundcake-log-") as home:
        log = Path(home) / "log"
        with log.open("wb") as output:
            process = Popen(
                ["setpriv", "--pdeathsig", "KILL", "--", *command],
                cwd=directory,
                stdin=DEVNULL,
                stdout=output,
                stderr=STDOUT,
            )
        try:
            _wait_for(process, is_ready, log)
            yield process
        finally:
            # No data needs a clean shutdown.
            process.kill()
            process.wait()


def free_port() -> int:
    """Return a TCP port of the loopback interface that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_for(process: Popen[bytes], is_ready: Callable[[], bool], log: Path) -> None:
    deadline = monotonic() + START_SECONDS
    while not is_ready():
        if process.poll() is not None or monotonic() > deadline:
            end_of_log = log.read_text(errors="replace")[-4000:]
            raise ServerFailed(f"{process.args!r} did not become ready:\n{end_of_log}")
        sleep(POLL_SECONDS)


def _skip_or_fail(reason: str) -> NoReturn:
    if is_ci():
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)
