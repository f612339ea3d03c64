"""A child process is killed when its parent dies."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from time import monotonic, sleep

import pytest

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="Only Linux supports it")

PARENT = """
import os, subprocess, sys, time
from functools import partial
from remediation.management.parent_death import die_with, kill_forks_with_parent
kill_forks_with_parent()
forked = os.fork()
if not forked:
    time.sleep(600)
child = subprocess.Popen(["sleep", "600"], preexec_fn=partial(die_with, os.getpid()))
print(forked, child.pid, flush=True)
time.sleep(600)
"""

PARENT_THAT_DIES_FIRST = """
import os, time
from remediation.management.parent_death import kill_forks_with_parent

parent = os.getpid()

def wait_until_the_parent_has_ended():
    while os.getppid() == parent:
        time.sleep(0.01)

os.register_at_fork(after_in_child=wait_until_the_parent_has_ended)
kill_forks_with_parent()
child = os.fork()
if not child:
    time.sleep(600)
print(child, flush=True)
"""


def test_children_die_when_their_parent_is_killed():
    with parent_process(PARENT) as parent:
        assert parent.stdout
        children = [int(pid) for pid in parent.stdout.readline().split()]
        os.kill(parent.pid, signal.SIGKILL)

    wait_until_ended(children)


def test_a_child_dies_if_its_parent_died_before_prctl():
    with parent_process(PARENT_THAT_DIES_FIRST) as parent:
        assert parent.stdout
        children = [int(parent.stdout.readline())]

    wait_until_ended(children)


def parent_process(program):
    return subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)


def wait_until_ended(pids):
    end = monotonic() + 60
    while alive := [pid for pid in pids if is_alive(pid)]:
        assert monotonic() < end, f"still alive: {alive}"
        sleep(0.02)


def is_alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
