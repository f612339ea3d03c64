"""Let the web server and the database have the processor first where one machine does it all."""

import contextlib
import os
from pathlib import Path

NICENESS = 10  # a tenth of the processor's time that the web server gets when both want it
AUTOGROUP = Path("/proc/self/autogroup")


def give_way() -> None:
    """Lower the priority of this process and of those that it will start.

    Linux shares the processor among sessions first, so the niceness of one process counts within
    its session only, and the session's own has to follow. Source: sched(7), autogroups.
    """
    niceness = os.nice(NICENESS)
    if os.getsid(0) == os.getpid():
        # Other systems have no such file, and containers may protect it: then it is as it was.
        with contextlib.suppress(OSError):
            AUTOGROUP.write_text(str(niceness))
