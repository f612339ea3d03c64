"""Two machines share one MariaDB; in a storm one fails and the other takes over its work."""

import os
import signal
import subprocess
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from importlib import import_module
from itertools import cycle
from pathlib import Path
from time import monotonic, sleep

import pytest
import requests

from st2_sandbox import Sandbox
from tests import servers
from tests.servers.poundcake import MANAGE, TIMEOUT_SECONDS, PoundCake, manage

API_KEY = "machines-key"
ALERTS, SENDERS, STEPS = 150, 4, 2


@dataclass
class Machine:
    """A web server and a worker with their children."""

    environment: dict[str, str]
    log: Path
    bind: str = field(default_factory=lambda: f"127.0.0.1:{servers.free_port()}")

    def start(self) -> None:
        self.environment["BIND"] = self.bind
        self.web = self._start([*MANAGE, "web"])
        self.worker = self._start([*MANAGE, "worker"])

    def restart_worker(self) -> None:
        """Let the worker finish its jobs, then start a new one, as in an upgrade."""
        self.worker.terminate()
        assert self.worker.wait(TIMEOUT_SECONDS) == 0
        self.worker = self._start([*MANAGE, "worker"])

    def _start(self, command: list[str]) -> "subprocess.Popen[bytes]":
        with self.log.open("ab") as log:
            return subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", "--", *command],
                env=self.environment,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def end(self) -> None:
        for process in (self.web, self.worker):
            kill(process)


def kill(process: "subprocess.Popen[bytes]") -> None:
    """Kill a process and its children, as a failing machine does."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        return
    process.wait()


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(api_key=API_KEY) as running:
        running.configure(duration_seconds=0.1)
        yield running


@pytest.fixture
def database(mariadb_server):
    """A connection to the database of both machines."""
    mysql = import_module("MySQLdb")
    socket = str(mariadb_server.unix_socket)
    connection = mysql.connect(unix_socket=socket, user="root", autocommit=True)
    connection.query("CREATE DATABASE machines")
    connection.select_db("machines")
    yield connection
    connection.close()


@pytest.fixture
def machines(mariadb_server, database, sandbox, tmp_path) -> Iterator[list[Machine]]:
    environment = os.environ | {
        "DATABASE_URL": mariadb_server.database_url.replace("/poundcake?", "/machines?"),
        "DJANGO_SETTINGS_MODULE": "poundcake.settings",
        "ST2_API_URL": sandbox.url,
        "ST2_API_KEY": API_KEY,
        "ST2_TIMEOUT": "1",
        "LAUNCH_LOOKUP_SECONDS": "2",
        "POLL_INTERVAL": "0.4",
        "SECRET_KEY": "machines-tests-0123456789-0123456789-0123456789",
    }
    manage(environment, "migrate", "--verbosity", "0")
    manage(environment, "seed_actions")
    both = [Machine(environment, tmp_path / f"machine{number}.log") for number in range(2)]
    try:
        for machine in both:
            machine.start()
        yield both
    finally:
        for machine in both:
            machine.end()


@pytest.fixture
def app(machines) -> PoundCake:
    """The web server of the second machine, which is not killed."""
    environment = machines[1].environment
    token = manage(environment, "create_token", "tests", "--scope", "admin").splitlines()[-1]
    poundcake = PoundCake(f"http://{machines[1].bind}", token, environment)
    for machine in machines:
        wait_until(lambda bind=machine.bind: is_ready(bind), f"not ready: see {machine.log}")
    [action] = poundcake.get("actions/?name=st2_core_local")["results"]
    step = {"action": action["id"], "parameters": {"cmd": "repair {{ alert.instance | quote }}"}}
    poundcake.post(
        "buckets/", {"name": "machines", "alert_name_pattern": "Storm", "steps": [step] * STEPS}
    )
    return poundcake


def is_ready(bind: str) -> bool:
    try:
        return requests.get(f"http://{bind}/readyz", timeout=5).ok
    except requests.RequestException:
        return False


def wait_until(holds, message: str) -> None:
    deadline = monotonic() + TIMEOUT_SECONDS
    while not holds():
        assert monotonic() < deadline, message
        sleep(0.05)


def send(number: int, binds: list[str], token: str) -> None:
    """Send an alert as Alertmanager does through a load balancer: retry until a 202."""
    alert = {"status": "firing", "labels": {"alertname": "Storm", "instance": f"host-{number}"}}
    deadline = monotonic() + TIMEOUT_SECONDS
    for bind in cycle(binds):
        assert monotonic() < deadline, "no machine accepts it"
        try:
            response = requests.post(
                f"http://{bind}/api/v1/webhook",
                json={"alerts": [alert]},
                headers={"Authorization": f"Bearer {token}"},
                timeout=30,
            )
        except requests.RequestException:
            sleep(0.05)
            continue
        if response.status_code == 202:
            return
        assert response.status_code >= 500, response.text


def test_a_storm_survives_the_loss_of_a_machine_and_a_restart(machines, app, sandbox, database):
    first, second = machines
    binds = [first.bind, second.bind]
    sent = threading.Semaphore(0)

    def send_one(number: int) -> None:
        send(number, binds[:: 1 if number % 2 else -1], app.token)
        sent.release()

    with ThreadPoolExecutor(SENDERS) as senders:
        for number in range(ALERTS):
            senders.submit(send_one, number)
        wait_until(lambda: len(sandbox.posts_by_trace_tag()) > ALERTS // 5, "nothing is launched")
        kill(first.web)
        kill(first.worker)
        wait_until(
            lambda: len(sandbox.posts_by_trace_tag()) > ALERTS // 2,
            "the other machine is idle",
        )
        second.restart_worker()
    assert all(sent.acquire(blocking=False) for _ in range(ALERTS)), "an alert was not accepted"

    app.wait_for("runs/?status=pending", lambda page: not page["results"])
    app.wait_for("runs/?status=running", lambda page: not page["results"])
    database.query("SELECT status, COUNT(*) FROM bucket_runs GROUP BY status")
    assert database.store_result().fetch_row(0) == (("success", ALERTS),)
    tags = sandbox.posts_by_trace_tag()
    assert (len(tags), set(tags.values())) == (ALERTS * STEPS, {1})
    assert sandbox.started_twice() == []
    assert failed_jobs(database) == ()
    wait_until(lambda: planned_ticks(database) <= 2, "more than one chain of ticks remains")


def failed_jobs(database):
    database.query("SELECT func, result FROM django_q_task WHERE NOT success")
    return database.store_result().fetch_row(0)


def planned_ticks(database):
    """Count the queued ticks; those that a worker has taken are locked for minutes."""
    database.query(
        "SELECT COUNT(*) FROM django_q_ormq"
        " WHERE `key` = 'follow' AND `lock` < UTC_TIMESTAMP() + INTERVAL 30 SECOND"
    )
    [[count]] = database.store_result().fetch_row(0)
    return count
