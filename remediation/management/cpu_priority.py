"""Lower the workers' CPU priority below that of a web server and a database on the same machine."""

import contextlib
import os
from pathlib import Path

# A third of the web server's CPU share under contention. Not lower: the load on the machine may be
# the problem that a run is about to fix.
NICENESS = 5
AUTOGROUP = Path("/proc/self/autogroup")


def lower_priority() -> None:
    """Lower the priority of this process and of the processes that it will start.

    Linux divides CPU time among sessions first, and a process's niceness counts only within its
    session, so the session's niceness must change too. Source: sched(7), autogroups.
    """
    niceness = os.nice(NICENESS)
    if os.getsid(0) == os.getpid():
        # Other systems have no such file, and containers may make it read-only.
        with contextlib.suppress(OSError):
            AUTOGROUP.write_text(str(niceness))
