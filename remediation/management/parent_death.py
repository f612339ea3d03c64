"""Kill a process when its parent dies, however the parent ended; name a process. Linux only."""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1
PR_SET_NAME = 15
_prctl = ctypes.CDLL(None).prctl if sys.platform == "linux" else None


def die_with(parent_pid: int) -> None:
    """Have the kernel kill this process when its parent dies; a no-op on other systems.

    Children do not inherit the setting: each has to call this. ``parent_pid``: of the process that
    forked this one. Source: prctl(2).
    """
    if _prctl is None:
        return
    _prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    # The kernel sends no signal for a parent that died before the call.
    if os.getppid() != parent_pid:
        os.kill(os.getpid(), signal.SIGKILL)


def kill_forks_with_parent() -> None:
    """Apply ``die_with`` to every later fork of this process and of its children."""
    forking_pid = os.getpid()

    def before_fork() -> None:
        nonlocal forking_pid
        forking_pid = os.getpid()

    os.register_at_fork(before=before_fork, after_in_child=lambda: die_with(forking_pid))


def name_process(name: str) -> None:
    """Set the name of this process in ps and top, at most 15 bytes. Source: prctl(2)."""
    if _prctl is not None:
        _prctl(PR_SET_NAME, name.encode())
