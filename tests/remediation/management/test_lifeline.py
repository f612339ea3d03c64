"""A process does not outlive the one that started it, even if that was killed."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from time import monotonic, sleep

import pytest

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="Linux alone can do it")

PARENT = """
import os, subprocess, sys, time
from remediation.management.lifeline import die_with_parent
os.register_at_fork(after_in_child=die_with_parent)
forked = os.fork()
if not forked:
    time.sleep(600)
child = subprocess.Popen(["sleep", "600"], preexec_fn=die_with_parent)
print(forked, child.pid, flush=True)
time.sleep(600)
"""


def test_children_die_with_a_parent_that_is_killed():
    parent = subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE, text=True)
    with parent:
        assert parent.stdout
        children = [int(pid) for pid in parent.stdout.readline().split()]
        assert all(is_alive(pid) for pid in children)

        os.kill(parent.pid, signal.SIGKILL)

    end = monotonic() + 30
    while any(is_alive(pid) for pid in children):
        assert monotonic() < end, "an orphan lives"
        sleep(0.02)


def is_alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
