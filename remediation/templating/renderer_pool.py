"""The renderers of this process: started when one is needed, ended when one overruns.

Safe to use from several threads, and after a fork.
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

from remediation.templating import budget, wire
from remediation.templating.budget import Budget
from remediation.templating.errors import MESSAGES, TemplateError

RENDERERS_MAX = 2  # of one process, so that one costly template does not keep the others waiting
ROOT = str(Path(__file__).resolve().parents[2])  # from which this package is imported
START_SECONDS = 15.0  # for Python to start on a busy machine
# By the wall clock, for the budget of processor time on a busy machine.
PATIENCE = 4  # times the budget
PATIENCE_SECONDS = 10.0  # at least
REPLY_FACTOR = 12  # bytes of JSON for a byte of text, at most
REPLY_BASE = 2**20


class RendererUnavailable(TemplateError):
    """There was no renderer, or something else ended it; the same rendering may succeed later.

    ``is_suspect``: the renderer was at work, so what it rendered may be the reason.
    """

    def __init__(self, field: str, message: str, *, is_suspect: bool = False) -> None:
        super().__init__(field, f"could not be rendered: {message}; try again")
        self.is_suspect = is_suspect


class Renderer:
    """One process that renders."""

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
            wire.receive(self._connection, until=time.monotonic() + START_SECONDS)
        except BaseException:
            self.end()
            raise

    @property
    def is_alive(self) -> bool:
        """Whether the process runs."""
        return self._process.poll() is None

    def ask(self, request: object) -> dict[str, object]:
        """Return the reply to a request. Raises TemplateError when it takes too much time."""
        until = time.monotonic() + _patience(self.limits)
        field = "parameters"
        try:
            self._connection.settimeout(_patience(self.limits))
            wire.send(self._connection, request)
            while True:
                limit = REPLY_BASE + REPLY_FACTOR * self.limits.max_bytes
                reply = wire.receive(self._connection, until=until, max_bytes=limit)
                if not isinstance(reply, dict) or "field" not in reply:
                    break
                field = str(reply["field"])
        except TimeoutError:
            # Its processor time was not used up, so this says nothing about the template.
            message = "the process that renders got no processor time"
            raise RendererUnavailable(field, message, is_suspect=True) from None
        except wire.Closed:
            raise self._death(field) from None
        except ValueError:
            raise TemplateError(field, "makes more than can be sent") from None
        if not isinstance(reply, dict):
            raise TypeError("a renderer answers with an object")
        if "failed" in reply:
            raise TemplateError(field, _failure(str(reply["failed"])))
        return reply

    def end(self) -> None:
        """Kill the process, whatever it does."""
        self._process.kill()
        self._process.wait()
        self._connection.close()

    def forget(self) -> None:
        """Let go of the process in a fork of its parent, without ending it."""
        self._process.returncode = 0
        self._connection.close()

    def _death(self, field: str) -> TemplateError:
        self._process.kill()
        code = self._process.wait()
        if code == -signal.SIGPROF:
            return TemplateError(field, self.limits.overrun)
        how = signal.Signals(-code).name if code < 0 else f"status {code}"
        message = f"the process that renders was ended ({how})"
        return RendererUnavailable(field, message, is_suspect=True)


class RendererPool:
    """At most so many renderers, each used by one thread at a time."""

    def __init__(self) -> None:
        self._idle: list[Renderer] = []
        self._slots = threading.BoundedSemaphore(RENDERERS_MAX)

    def call(self, name: str, arguments: Sequence[object], options: Mapping[str, object]) -> object:
        """Return what a function of templating returns in a renderer.

        Raises TemplateError; RendererUnavailable when it may succeed later.
        """
        try:
            request = wire.encode([name, list(arguments), dict(options)])
        except RecursionError:
            raise TemplateError("parameters", MESSAGES[RecursionError]) from None
        limits = budget.current()
        if not self._slots.acquire(timeout=2 * _patience(limits)):
            raise RendererUnavailable("parameters", "all renderers are busy")
        try:
            reply = self._ask(limits, request)
        except TemplateError:
            budget.count_renderer(limits.seconds)
            raise
        finally:
            self._slots.release()
        budget.count_renderer(cast("float", reply["seconds"]))
        if "error" in reply:
            error = wire.decode(reply["error"])
            raise error if isinstance(error, TemplateError) else TypeError("no error of ours")
        return wire.decode(reply["value"])

    def close(self) -> None:
        """End the renderers that are idle."""
        while self._idle:
            self._idle.pop().end()

    def forget(self) -> None:
        """Start again in a fork: the renderers are the parent's, and so are its locks."""
        for renderer in self._idle:
            renderer.forget()
        self.__init__()  # type: ignore[misc]

    def _ask(self, limits: Budget, request: object) -> dict[str, object]:
        renderer = self._take(limits)
        is_reusable = False
        try:
            reply = renderer.ask(request)
            is_reusable = not reply["last"]
            return reply
        finally:
            if is_reusable:
                self._idle.append(renderer)
            else:
                renderer.end()

    def _take(self, limits: Budget) -> Renderer:
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
        except (OSError, wire.Closed) as error:
            message = f"no process to render it could be started ({error})"
            raise RendererUnavailable("parameters", message) from None


def _patience(limits: Budget) -> float:
    return max(PATIENCE_SECONDS, PATIENCE * limits.seconds)


def _start(limits: Budget, connection: socket.socket) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-S", "-P", "-m", "remediation.templating.renderer"]
    return subprocess.Popen(  # noqa: S603
        [*command, str(limits.seconds), str(limits.max_bytes)],
        # No variable but this one: the environment holds secrets.
        env={"PYTHONPATH": os.pathsep.join([ROOT, *filter(None, sys.path)])},
        stdin=connection.fileno(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def _failure(name: str) -> str:
    return next(
        (message for kind, message in MESSAGES.items() if kind.__name__ == name),
        f"cannot be computed: {name}",
    )


POOL = RendererPool()
os.register_at_fork(after_in_child=POOL.forget)
atexit.register(POOL.close)
