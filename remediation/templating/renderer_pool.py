"""The renderer processes of this process: started on demand, replaced after an overrun.

Thread-safe and fork-safe.
"""

import atexit
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import cast

from remediation.templating import budget, renderer_protocol
from remediation.templating.budget import Budget
from remediation.templating.errors import MESSAGES, TemplateError

RENDERERS_MAX = 2  # per process; with one, a costly template would block all others
ROOT = str(Path(__file__).resolve().parents[2])  # the import path of this package
START_SECONDS = 15.0  # for Python to start under load
# Wall-clock limit of a rendering, whose budget is CPU time.
WALL_CLOCK_FACTOR = 4  # times the budget
WALL_CLOCK_MIN_SECONDS = 10.0
REPLY_FACTOR = 12  # bytes of JSON per byte of text, at most
REPLY_BASE = 2**20  # bytes


class RendererUnavailable(TemplateError):
    """No renderer was available, or something else ended it. A retry may succeed.

    ``is_suspect``: the renderer was rendering, so the template may be the cause.
    """

    def __init__(self, field: str, message: str, *, is_suspect: bool = False) -> None:
        super().__init__(field, f"could not be rendered: {message}; retry later")
        self.is_suspect = is_suspect


class Renderer:
    """One renderer process."""

    def __init__(self, limits: Budget) -> None:
        self.limits = limits
        self._connection, theirs = socket.socketpair()
        try:
            with theirs:
                self._process = _start(limits, theirs)
        except BaseException:
            self._connection.close()
            raise
        try:
            renderer_protocol.receive(self._connection, deadline=time.monotonic() + START_SECONDS)
        except BaseException:
            self.end()
            raise

    @property
    def is_alive(self) -> bool:
        return self._process.poll() is None

    def send_request(self, message: object) -> dict[str, object]:
        """Send a request and return the reply. Raises TemplateError if it takes too long."""
        deadline = time.monotonic() + _wall_clock_limit(self.limits)
        field = "parameters"
        try:
            self._connection.settimeout(_wall_clock_limit(self.limits))
            renderer_protocol.send(self._connection, message)
            while True:
                limit = REPLY_BASE + REPLY_FACTOR * self.limits.max_bytes
                reply = renderer_protocol.receive(
                    self._connection, deadline=deadline, max_bytes=limit
                )
                if not isinstance(reply, dict) or "field" not in reply:
                    break
                field = str(reply["field"])
        except TimeoutError:
            # The CPU time limit was not reached, so the template is not to blame.
            reason = "the renderer process got no CPU time"
            raise RendererUnavailable(field, reason, is_suspect=True) from None
        except renderer_protocol.ConnectionClosed:
            raise self._exit_error(field) from None
        except ValueError:
            raise TemplateError(field, "produces a result that is too large to be sent") from None
        if not isinstance(reply, dict):
            raise TypeError("a renderer's reply must be an object")
        if "failed" in reply:
            raise TemplateError(field, _failure_message(str(reply["failed"])))
        return reply

    def end(self) -> None:
        """Kill the process."""
        self._process.kill()
        self._process.wait()
        self._connection.close()

    def reset_after_fork(self) -> None:
        """Close this fork's handle without ending the process, which belongs to the parent."""
        self._process.returncode = 0
        self._connection.close()

    def _exit_error(self, field: str) -> TemplateError:
        self._process.kill()
        code = self._process.wait()
        if code == -signal.SIGPROF:
            return TemplateError(field, self.limits.timeout_message)
        exit_reason = signal.Signals(-code).name if code < 0 else f"status {code}"
        message = f"the renderer process ended ({exit_reason})"
        return RendererUnavailable(field, message, is_suspect=True)


class RendererPool:
    """Up to RENDERERS_MAX renderers, each used by one thread at a time."""

    def __init__(self) -> None:
        self._idle: list[Renderer] = []
        self._slots = threading.BoundedSemaphore(RENDERERS_MAX)

    def call(self, name: str, arguments: Sequence[object], options: Mapping[str, object]) -> object:
        """Call a function of this package in a renderer and return its value.

        Raises TemplateError, or its subclass RendererUnavailable if a retry may succeed.
        """
        try:
            request = renderer_protocol.encode([name, list(arguments), dict(options)])
        except RecursionError:
            raise TemplateError("parameters", MESSAGES[RecursionError]) from None
        limits = budget.current()
        if not self._slots.acquire(timeout=2 * _wall_clock_limit(limits)):
            raise RendererUnavailable("parameters", "all renderers are busy")
        try:
            reply = self._request(limits, request)
        except TemplateError:
            budget.add_renderer_time(limits.seconds)
            raise
        finally:
            self._slots.release()
        budget.add_renderer_time(cast("float", reply["seconds"]))
        if "error" in reply:
            error = renderer_protocol.decode(reply["error"])
            raise error if isinstance(error, TemplateError) else TypeError("unexpected error type")
        return renderer_protocol.decode(reply["value"])

    def close(self) -> None:
        """End the idle renderers."""
        while self._idle:
            self._idle.pop().end()

    def reset_after_fork(self) -> None:
        """Reset the pool in a fork: its renderers and locks belong to the parent."""
        for renderer in self._idle:
            renderer.reset_after_fork()
        self.__init__()  # type: ignore[misc]  # replaces locks that a fork may hold

    def _request(self, limits: Budget, message: object) -> dict[str, object]:
        renderer = self._acquire(limits)
        is_reusable = False
        try:
            reply = renderer.send_request(message)
            is_reusable = not reply["last"]
            return reply
        finally:
            if is_reusable:
                self._idle.append(renderer)
            else:
                renderer.end()

    def _acquire(self, limits: Budget) -> Renderer:
        while True:
            try:
                renderer = self._idle.pop()
            except IndexError:
                break
            if renderer.is_alive and renderer.limits == limits:
                return renderer
            renderer.end()
        try:
            return Renderer(limits)
        except (OSError, renderer_protocol.ConnectionClosed) as error:
            message = f"the renderer process could not be started ({error})"
            raise RendererUnavailable("parameters", message) from None


def _wall_clock_limit(limits: Budget) -> float:
    return max(WALL_CLOCK_MIN_SECONDS, WALL_CLOCK_FACTOR * limits.seconds)


def _start(limits: Budget, connection: socket.socket) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-S", "-P", "-m", "remediation.templating.renderer"]
    return subprocess.Popen(  # noqa: S603 - no argument is user input
        [*command, str(limits.seconds), str(limits.max_bytes)],
        # Pass nothing else: the environment holds secrets.
        env={"PYTHONPATH": os.pathsep.join([ROOT, *filter(None, sys.path)])},
        stdin=connection.fileno(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def _failure_message(name: str) -> str:
    return next(
        (message for kind, message in MESSAGES.items() if kind.__name__ == name),
        f"cannot be computed: {name}",
    )


POOL = RendererPool()
os.register_at_fork(after_in_child=POOL.reset_after_fork)
atexit.register(POOL.close)
