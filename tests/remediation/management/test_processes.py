"""manage.py worker and serve as real processes: they work, restart children and clean up."""

import contextlib
import os
import re
import signal
import sqlite3
import subprocess
import sys
import uuid
from pathlib import Path
from time import monotonic, sleep

import pytest
import requests

from remediation.management.cpu_priority import NICENESS
from remediation.management.processes import STOP_SECONDS, Processes
from tests import servers
from tests.paths import ROOT

pytestmark = pytest.mark.slow

MANAGE = [sys.executable, str(ROOT / "manage.py")]
TIMEOUT_SECONDS = 180.0  # longer than WORKER_DEAD_SECONDS, after which a cluster is restarted
PROCESSES_MAX = 12  # of serve at rest, with the default settings on any machine
MEMORY_MAX = 300 * 10**6  # bytes; 175 MB were measured
EXECUTION_SCRIPT = """
import django
django.setup()
from tests import factories
bucket = factories.make_bucket(name="{name}")
action = factories.make_local_action(name="{name}")
factories.make_step(bucket, action, parameters={{"message": "it is down"}})
alert = factories.make_alert(labels={{"alertname": "{name}"}})
factories.make_execution(factories.make_run(bucket, alert))
"""


class Command:
    """A management command with its own database that runs until it is stopped."""

    def __init__(self, name, database):
        self.database = database
        self.mark = f"TEST_MARK={uuid.uuid4()}"
        self.bind = f"127.0.0.1:{servers.free_port()}"
        self.environment = os.environ | {
            "DATABASE_URL": f"sqlite:///{database}",
            "DJANGO_SETTINGS_MODULE": "poundcake.settings",
            "BIND": self.bind,
            "POLL_INTERVAL": "0.2",
            "SECRET_KEY": "process-tests-0123456789-0123456789-0123456789",
            "ST2_API_URL": "",
            "TEST_MARK": self.mark.partition("=")[2],
        }
        self.log = database.with_suffix(".log")
        self.run([*MANAGE, "migrate", "--verbosity", "0"])
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [*MANAGE, name], env=self.environment, stdout=log, stderr=log
            )

    def run(self, command):
        subprocess.run(command, env=self.environment, cwd=ROOT, check=True, timeout=60)

    def runs_an_execution(self, name):
        """Create a due local execution and return whether it succeeds."""
        self.run([sys.executable, "-c", EXECUTION_SCRIPT.format(name=name)])
        return wait_until(lambda: self._status(name) == "success")

    def _status(self, name):
        with contextlib.closing(sqlite3.connect(self.database, timeout=20)) as database:
            rows = database.execute("SELECT status FROM action_executions WHERE name = ?", [name])
            return rows.fetchone()[0]

    def processes(self):
        """Return the names of all its processes by process id."""
        found = {}
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                environment = (folder / "environ").read_bytes().decode().split("\0")
                line = (folder / "cmdline").read_bytes().decode().split("\0")
                name = (folder / "comm").read_text().strip()
            except OSError:
                continue
            # A zombie has no command line.
            if self.mark in environment and line != [""]:
                found[int(folder.name)] = name
        return found

    def clusters(self):
        """Return the process id of each cluster's leader by cluster name."""
        return {
            name: pid
            for pid, name in self.processes().items()
            if name in ("launch", "follow", "local") and os.getpgid(pid) == pid
        }

    def kill_all(self):
        for pid in self.processes():
            os.kill(pid, signal.SIGKILL)
        self.process.wait()


def wait_until(condition):
    end = monotonic() + TIMEOUT_SECONDS
    while not (holds := condition()) and monotonic() < end:
        sleep(0.05)
    return holds


@pytest.fixture
def start(tmp_path):
    started = []

    def start_command(name):
        started.append(Command(name, tmp_path / "poundcake.sqlite3"))
        return started[-1]

    yield start_command
    for command in started:
        command.kill_all()


def test_a_worker_restarts_its_clusters_and_stops_all_its_processes(start):
    worker = start("worker")
    assert worker.runs_an_execution("before"), worker.log.read_text()
    clusters = worker.clusters()
    assert set(clusters) == {"launch", "follow", "local"}
    nice = min(os.getpriority(os.PRIO_PROCESS, 0) + NICENESS, 19)
    assert {niceness(pid) for pid in clusters.values()} == {nice}, "the web server has priority"
    affected = {clusters["launch"], clusters["local"]}
    processes = {pid for pid in worker.processes() if os.getpgid(pid) in affected}

    # Kill one cluster's leader, and in another the processes that run jobs.
    os.kill(clusters["launch"], signal.SIGKILL)
    for pid in processes:
        if parent(pid) == clusters["local"]:
            os.kill(pid, signal.SIGKILL)

    # The leader of the other cluster replaces them.
    processes.remove(clusters["local"])
    assert wait_until(lambda: not processes & set(worker.processes())), (
        "the processes and their children"
    )
    assert wait_until(lambda: set(worker.clusters()) == {"launch", "follow", "local"})
    assert worker.runs_an_execution("after"), worker.log.read_text()

    worker.process.send_signal(signal.SIGTERM)
    assert worker.process.wait(TIMEOUT_SECONDS) == 0
    assert not worker.processes()


def niceness(pid):
    """Return a process's niceness; on Linux its session must have the same."""
    own = os.getpriority(os.PRIO_PROCESS, pid)
    with contextlib.suppress(FileNotFoundError):
        group = Path(f"/proc/{pid}/autogroup").read_text()
        assert group.endswith(f" nice {own}\n"), group
    return own


def parent(pid):
    """Return the parent of a process, or 0 if there is none any more."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    return int(re.findall(r"PPid:\t(\d+)", status)[0])


def test_serve_works_and_stops_all_its_processes(start):
    serve = start("serve")

    assert wait_until(lambda: is_ready(serve)), serve.log.read_text()
    assert serve.runs_an_execution("first"), serve.log.read_text()

    serve.process.send_signal(signal.SIGTERM)
    assert serve.process.wait(TIMEOUT_SECONDS) == 0
    assert not serve.processes()


def test_serve_is_small(start):
    serve = start("serve")
    assert wait_until(lambda: is_ready(serve)), serve.log.read_text()
    assert wait_until(lambda: len(serve.clusters()) == 3)
    assert serve.runs_an_execution("first"), serve.log.read_text()

    processes = serve.processes()

    assert len(processes) <= PROCESSES_MAX, sorted(processes.values())
    assert sum(map(proportional_set_size, processes)) < MEMORY_MAX


def proportional_set_size(pid):
    """Return the memory of a process in bytes; shared pages count in equal parts."""
    rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
    return int(re.findall(r"^Pss:\s+(\d+) kB", rollup, re.MULTILINE)[0]) * 1024


def test_serve_exits_with_status_1_when_the_web_server_ends(start):
    serve = start("serve")
    assert wait_until(lambda: is_ready(serve)), serve.log.read_text()
    [web] = [
        pid for pid, name in serve.processes().items() if name == "web" and os.getpgid(pid) == pid
    ]

    os.kill(web, signal.SIGKILL)

    # A cluster that is stopped during its start may have to be killed.
    assert serve.process.wait(STOP_SECONDS + TIMEOUT_SECONDS) == 1
    assert "The web process has ended" in serve.log.read_text()
    assert not serve.processes()


def test_children_that_do_not_stop_are_killed_with_their_children(tmp_path):
    stubborn = "trap '' TERM; sleep 600 & echo $! > {}; wait; wait"
    children = [tmp_path / "first", tmp_path / "second"]
    processes = Processes(stop_seconds=0.5)
    for path in children:
        processes.start(path.name, ["sh", "-c", stubborn.format(path)])
    assert wait_until(lambda: all(path.exists() and path.read_text() for path in children))
    begun = monotonic()

    processes.stop()

    assert 0.5 <= monotonic() - begun < TIMEOUT_SECONDS
    for path in children:
        assert wait_until(lambda path=path: has_ended(path.read_text().strip()))


def has_ended(pid):
    try:
        return "State:\tZ" in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return True


def is_ready(serve):
    try:
        return requests.get(f"http://{serve.bind}/readyz", timeout=5).ok
    except requests.RequestException:
        return False
