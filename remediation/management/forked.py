"""A child process forked from this one, with the interface of ``subprocess.Popen``."""

from __future__ import annotations

import gc
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from multiprocessing.context import ForkProcess

from django.core.management.base import CommandError
from django.db import connections

from remediation import log_context
from remediation.management.parent_death import die_with, name_process

logger = logging.getLogger(__name__)


class Forked:
    """A running fork: leader of its own session, killed when its parent dies."""

    def __init__(self, name: str, function: Callable[[], object]) -> None:
        """Fork, and call the function in the child. ``name``: its role in log lines and in ps."""
        # A forked connection would be shared by both processes.
        connections.close_all()
        gc.collect()
        gc.freeze()  # the collector would write to the shared pages
        self.process = ForkProcess(target=_run, args=(name, function, os.getpid()))
        self.process.start()
        self.pid = self.process.pid or 0

    def poll(self) -> int | None:
        """Return the exit status, or None while it runs."""
        return self.process.exitcode

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the end and return the exit status. Raises TimeoutExpired."""
        deadline = None if timeout is None else time.monotonic() + timeout
        self.process.join(timeout)
        while (status := self.process.exitcode) is None:
            # ``join`` also returns while a process is ending.
            if deadline and time.monotonic() >= deadline:
                raise subprocess.TimeoutExpired(self.process.name, timeout or 0.0)
            time.sleep(0.01)
        return status

    def terminate(self) -> None:
        """Send SIGTERM."""
        self.process.terminate()


def _run(name: str, function: Callable[[], object], parent: int) -> None:
    os.setsid()
    die_with(parent)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
    name_process(name)
    log_context.set_role(name)
    try:
        function()
    except CommandError as error:
        logger.critical("%s", error)
        sys.exit(1)
    except Exception:
        logger.exception("The process has ended.")
        sys.exit(1)
