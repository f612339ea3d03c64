"""Let no process outlive the one that started it, however that one ended."""

import ctypes
import signal
import sys

PR_SET_PDEATHSIG = 1
_prctl = ctypes.CDLL(None).prctl if sys.platform == "linux" else None


def die_with_parent() -> None:
    """Have the kernel kill this process when its parent dies; elsewhere than on Linux, do nothing.

    It is not inherited: each child has to call it for itself. Source: prctl(2).
    """
    if _prctl is not None:
        _prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
