"""manage.py worker and serve as real processes: they work, they mend and nothing stays behind."""

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

from remediation.management.priority import NICENESS
from remediation.management.processes import STOP_SECONDS, Processes
from tests import servers
from tests.paths import ROOT

MANAGE = [sys.executable, str(ROOT / "manage.py")]
PATIENCE_SECONDS = 60.0
MAKE_AN_EXECUTION = """
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
    """A management command that runs on a database of its own until it is stopped."""

    def __init__(self, name, database):
        self.database = database
        self.mark = f"TEST_MARK={uuid.uuid4()}"
        self.bind = f"127.0.0.1:{servers.free_port()}"
        self.environment = os.environ | {
            "DATABASE_URL": f"sqlite:///{database}",
            "DJANGO_SETTINGS_MODULE": "poundcake.settings",
            "BIND": self.bind,
            "POLL_INTERVAL": "0.2",
            "SECRET_KEY": "process-tests",
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

    def carries_out(self, name):
        """Make a due local execution and tell whether it ends well."""
        self.run([sys.executable, "-c", MAKE_AN_EXECUTION.format(name=name)])
        return until(lambda: self._status(name) == "success")

    def _status(self, name):
        with contextlib.closing(sqlite3.connect(self.database, timeout=20)) as database:
            rows = database.execute("SELECT status FROM action_executions WHERE name = ?", [name])
            return rows.fetchone()[0]

    def processes(self):
        """Return the environment and the command line of all that it has started, by their id."""
        found = {}
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                environment = (folder / "environ").read_bytes().decode().split("\0")
                line = (folder / "cmdline").read_bytes().decode().split("\0")
            except OSError:
                continue
            # One that has ended and waits for its parent to notice has no command line.
            if self.mark in environment and line != [""]:
                found[int(folder.name)] = (environment, line)
        return found

    def clusters(self):
        """Return the first process of each cluster by the cluster's name."""
        return {
            name: pid
            for pid, (environment, line) in self.processes().items()
            for name in ("launch", "follow", "local")
            if f"Q_CLUSTER_NAME={name}" in environment and os.getpgid(pid) == pid
        }

    def kill_all(self):
        for pid in self.processes():
            os.kill(pid, signal.SIGKILL)
        self.process.wait()


def until(holds):
    end = monotonic() + PATIENCE_SECONDS
    while not (held := holds()) and monotonic() < end:
        sleep(0.05)
    return held


@pytest.fixture
def start(tmp_path):
    started = []

    def begin(name):
        started.append(Command(name, tmp_path / "poundcake.sqlite3"))
        return started[-1]

    yield begin
    for command in started:
        command.kill_all()


def test_a_worker_starts_its_clusters_anew_and_ends_with_all_its_processes(start):
    worker = start("worker")
    assert worker.carries_out("before"), worker.log.read_text()
    clusters = worker.clusters()
    assert set(clusters) == {"launch", "follow", "local"}
    nice = min(os.getpriority(os.PRIO_PROCESS, 0) + NICENESS, 19)
    assert {niceness(pid) for pid in clusters.values()} == {nice}, "the web server comes first"
    ends = {clusters["launch"], clusters["local"]}
    processes = {pid for pid in worker.processes() if os.getpgid(pid) in ends}

    # A cluster itself, and in the other one all that wait for work with its queue's lock in hand.
    os.kill(clusters["launch"], signal.SIGKILL)
    for pid in processes:
        if grandparent(pid) == clusters["local"]:
            os.kill(pid, signal.SIGKILL)

    assert until(lambda: not processes & set(worker.processes())), "they and what they started"
    assert until(lambda: set(worker.clusters()) == {"launch", "follow", "local"})
    assert worker.carries_out("after"), worker.log.read_text()

    worker.process.send_signal(signal.SIGTERM)
    assert worker.process.wait(PATIENCE_SECONDS) == 0
    assert not worker.processes()


def niceness(pid):
    """Return a process's own niceness, which its session's has to be too where Linux has such."""
    own = os.getpriority(os.PRIO_PROCESS, pid)
    with contextlib.suppress(FileNotFoundError):
        group = Path(f"/proc/{pid}/autogroup").read_text()
        assert group.endswith(f" nice {own}\n"), group
    return own


def grandparent(pid):
    """Return the parent of a process's parent; 0 for what has no such thing any more."""
    for _ in range(2):
        try:
            status = Path(f"/proc/{pid}/status").read_text()
        except OSError:
            return 0
        pid = int(re.search(r"PPid:\t(\d+)", status)[1])
    return pid


def test_serve_answers_works_and_ends_with_all_its_processes(start):
    serve = start("serve")

    assert until(lambda: answers(serve)), serve.log.read_text()
    assert serve.carries_out("first"), serve.log.read_text()

    serve.process.send_signal(signal.SIGTERM)
    assert serve.process.wait(PATIENCE_SECONDS) == 0
    assert not serve.processes()


def test_serve_ends_with_status_1_when_one_of_its_two_has_ended(start):
    serve = start("serve")
    assert until(lambda: answers(serve)), serve.log.read_text()
    [web] = [
        pid
        for pid, (_, line) in serve.processes().items()
        if "gunicorn" in line and os.getpgid(pid) == pid
    ]

    os.kill(web, signal.SIGKILL)

    # A cluster that is asked to stop while it still starts may have to be killed in the end.
    assert serve.process.wait(STOP_SECONDS + PATIENCE_SECONDS) == 1
    assert "The web process has ended" in serve.log.read_text()
    assert not serve.processes()


def test_children_that_do_not_end_are_killed_soon_with_what_they_started(tmp_path):
    stubborn = "trap '' TERM; sleep 600 & echo $! > {}; wait; wait"
    children = [tmp_path / "first", tmp_path / "second"]
    processes = Processes(stop_seconds=0.5)
    for path in children:
        processes.start(path.name, ["sh", "-c", stubborn.format(path)])
    assert until(lambda: all(path.exists() and path.read_text() for path in children))
    begun = monotonic()

    processes.stop()

    assert 0.5 <= monotonic() - begun < PATIENCE_SECONDS
    for path in children:
        assert until(lambda path=path: has_ended(path.read_text().strip()))


def has_ended(pid):
    try:
        return "State:\tZ" in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return True


def answers(serve):
    try:
        return requests.get(f"http://{serve.bind}/readyz", timeout=5).ok
    except requests.RequestException:
        return False
