"""Real parts for the tests: servers that start in private, on this machine, and leave no trace.

They are found in PATH and in var/parts, where scripts/test-parts.sh unpacks what is not installed.
A part that is missing is a skip that names it; in CI it is a failure.
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
START_SECONDS = 60.0  # the longest that a part may take until it answers
POLL_SECONDS = 0.02

Part = TypeVar("Part")


class PartMissing(Exception):
    """A real part is not on this machine; the message says which, and how to get it."""


class PartBroken(Exception):
    """A real part is there and does not start; the message holds the end of its log."""


def find_program(name: str, *, package: str) -> Path:
    """Return where a program is, or raise ``PartMissing`` naming the Debian package it is in."""
    places = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", str(UNPACKED)])
    found = shutil.which(name, path=places)
    if found is None:
        raise PartMissing(
            f"{name} is missing (Debian package {package}): let scripts/test-parts.sh fetch it"
        )
    return Path(found)


@contextmanager
def or_skip(part: AbstractContextManager[Part]) -> Iterator[Part]:
    """Start a part for a fixture; skip its tests, or fail them in CI, when the part is missing."""
    with ExitStack() as stack:
        try:
            started = stack.enter_context(part)
        except PartMissing as missing:
            _do_without(str(missing))
        yield started


def is_required() -> bool:
    """Tell whether this is CI, where no test may be left out."""
    return os.environ.get("CI") == "true"


@contextmanager
def running(
    command: Sequence[str], *, is_ready: Callable[[], bool], directory: Path | None = None
) -> Iterator[Popen[bytes]]:
    """Run a server and wait until it is ready; kill it when the block ends or this process does.

    Nothing it holds is worth a clean end. Raises ``PartBroken`` when it does not become ready.
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
            process.kill()
            process.wait()


def free_port() -> int:
    """Return a TCP port of loopback on which nothing listens now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_for(process: Popen[bytes], is_ready: Callable[[], bool], log: Path) -> None:
    deadline = monotonic() + START_SECONDS
    while not is_ready():
        if process.poll() is not None or monotonic() > deadline:
            end_of_log = log.read_text(errors="replace")[-4000:]
            raise PartBroken(f"{process.args!r} did not become ready:\n{end_of_log}")
        sleep(POLL_SECONDS)


def _do_without(reason: str) -> NoReturn:
    if is_required():
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)
