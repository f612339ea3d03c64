"""Start and stop child processes as a unit, and leave no process behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from types import FrameType, TracebackType

from remediation.management.forked import Forked
from remediation.management.parent_death import die_with

MANAGE = Path(sys.argv[0]).resolve()
STOP_SECONDS = 70.0  # long enough for a worker to finish its local action


class Interrupted(Exception):
    """The process received a signal to stop."""


class Processes:
    """Child processes by name, each the leader of its process group."""

    def __init__(
        self, env: Mapping[str, str] | None = None, *, stop_seconds: float = STOP_SECONDS
    ) -> None:
        """Set up without starting anything.

        ``env``: added to this process's environment. ``stop_seconds``: time to exit on ``stop``;
        longer than the children's own limit.
        """
        self.env = {**os.environ, **(env or {})}
        self.stop_seconds = stop_seconds
        self.children: dict[str, subprocess.Popen[bytes] | Forked] = {}
        self.starts: dict[str, Callable[[], None]] = {}

    def __enter__(self) -> Processes:
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, self._interrupt)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool:
        self.stop()
        return kind is Interrupted

    def manage(self, *arguments: str) -> str:
        """Run a management command and return its standard output.

        Its standard error is written only if it fails. Raises CalledProcessError.
        """
        command = [sys.executable, str(MANAGE), *arguments]
        done = subprocess.run(command, env=self.env, capture_output=True, text=True)  # noqa: S603 - a command of ours, checked below
        if done.returncode:
            sys.stderr.write(done.stderr)
        done.check_returncode()
        return done.stdout

    def fork(self, name: str, function: Callable[[], object]) -> None:
        """Call a function in a fork of this process, which shares the imported modules."""
        self.starts[name] = partial(self.fork, name, function)
        self.children[name] = Forked(name, function)

    def start(self, name: str, command: list[str], **env: str) -> None:
        """Start a child that runs until it is stopped."""
        self.starts[name] = partial(self.start, name, command, **env)
        self.children[name] = subprocess.Popen(  # noqa: S603 - a command of ours
            command,
            env=self.env | env,
            start_new_session=True,
            preexec_fn=partial(die_with, os.getpid()),
        )

    def start_manage(self, name: str, *arguments: str, **env: str) -> None:
        """Start a management command that runs until it is stopped."""
        self.start(name, [sys.executable, str(MANAGE), *arguments], **env)

    def ended(self) -> list[str]:
        """Return the names of the children that have ended."""
        return [name for name, child in self.children.items() if child.poll() is not None]

    def restart(self, name: str) -> None:
        """Kill the rest of a child's process group and start the child again."""
        self._signal(self.children[name], signal.SIGKILL)
        self.children[name].wait()
        self.starts[name]()

    def stop(self) -> None:
        """Terminate all children, and kill the process groups of those that do not exit in time."""
        deadline = time.monotonic() + self.stop_seconds
        for child in self.children.values():
            child.terminate()
        for child in self.children.values():
            try:
                child.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                pass
            finally:
                self._signal(child, signal.SIGKILL)
                child.wait()
        self.children.clear()

    @staticmethod
    def _signal(child: subprocess.Popen[bytes] | Forked, number: signal.Signals) -> None:
        try:
            os.killpg(child.pid, number)
        except ProcessLookupError:
            return

    @staticmethod
    def _interrupt(_number: int, _frame: FrameType | None) -> None:
        # A second signal must not interrupt the shutdown.
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        raise Interrupted
