"""After the loss of any process of a worker, the work continues, once, without orphans."""

import os
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from time import monotonic, sleep

import pytest

from st2_sandbox import Sandbox
from tests import servers
from tests.servers.poundcake import MANAGE, TIMEOUT_SECONDS, PoundCake, manage, web_server

API_KEY = "worker-key"
BURST = 5


@dataclass(frozen=True)
class Process:
    """A process in /proc. ``started``: ticks since boot."""

    pid: int
    parent: int
    started: int


def process_table() -> dict[int, Process]:
    """Return all processes except zombies, by id."""
    table = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if fields[0] != "Z":
            table[int(folder.name)] = Process(int(folder.name), int(fields[1]), int(fields[19]))
    return table


class Worker:
    """``manage.py worker``; the test restarts it as a service manager does."""

    def __init__(self, environment: dict[str, str], log: Path) -> None:
        self.environment = environment
        self.log = log
        self.start()

    def start(self) -> None:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", "--", *MANAGE, "worker"],
                env=self.environment,
                stdout=log,
                stderr=log,
            )

    def children(self, pid: int) -> list[int]:
        """Return the children of a process by start time."""
        found = [process for process in process_table().values() if process.parent == pid]
        return [process.pid for process in sorted(found, key=lambda one: (one.started, one.pid))]

    def descendants(self) -> set[int]:
        found, queue = set(), [self.process.pid]
        while queue:
            children = self.children(queue.pop())
            found.update(children)
            queue += children
        return found

    def cluster(self, name: str) -> dict[str, int]:
        """Return the processes of a cluster by role, {} until all have started."""
        for guard in self.children(self.process.pid):
            is_named = Path(f"/proc/{guard}/comm").read_text().strip() == name
            if is_named and (started := self.children(guard)):
                return {"guard": guard, "worker": started[0]}
        return {}

    def pid_of(self, cluster: str, role: str) -> int:
        if role == "supervisor":
            return self.process.pid
        pids: dict[str, int] = wait_until(
            lambda: self.cluster(cluster), f"{cluster} is not complete: {self.log}"
        )
        return pids[role]


def wait_until(holds, message: str):
    """Wait until ``holds`` returns a true value and return it."""
    deadline = monotonic() + TIMEOUT_SECONDS
    while not (value := holds()):
        assert monotonic() < deadline, message
        sleep(0.05)
    return value


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(api_key=API_KEY) as running:
        running.configure(duration_seconds=0.1)
        yield running


@pytest.fixture(scope="module")
def app(sandbox, tmp_path_factory) -> Iterator[PoundCake]:
    """A web server without workers."""
    home = tmp_path_factory.mktemp("worker")
    bind = f"127.0.0.1:{servers.free_port()}"
    environment = os.environ | {
        "BIND": bind,
        "DATABASE_URL": f"sqlite:///{home / 'poundcake.sqlite3'}",
        "ST2_API_URL": sandbox.url,
        "ST2_API_KEY": API_KEY,
        "ST2_TIMEOUT": "1",
        "LAUNCH_LOOKUP_SECONDS": "2",
        "POLL_INTERVAL": "0.2",
        "WORKER_DEAD_SECONDS": "4",
        "SECRET_KEY": "worker-tests-0123456789-0123456789-0123456789",
        "DJANGO_SETTINGS_MODULE": "poundcake.settings",
    }
    manage(environment, "migrate", "--verbosity", "0")
    manage(environment, "seed_actions")
    token = manage(environment, "create_token", "tests", "--scope", "admin").splitlines()[-1]
    poundcake = PoundCake(f"http://{bind}", token, environment)
    with web_server(poundcake):
        yield poundcake


@pytest.fixture(scope="module")
def bucket(app):
    """A bucket with a step in StackStorm and a local one."""
    steps = [
        {"action": app.get(f"actions/?name={name}")["results"][0]["id"], "parameters": parameters}
        for name, parameters in (
            ("st2_linux_service_action", {"service_name": "nginx"}),
            ("log_event", {"message": "{{ alert.instance }} is repaired"}),
        )
    ]
    return app.post("buckets/", {"name": "any", "alert_name_pattern": ".*", "steps": steps})


@pytest.fixture(scope="module")
def worker(app, tmp_path_factory) -> Iterator[Worker]:
    running = Worker(app.environment, tmp_path_factory.mktemp("log") / "worker.log")
    try:
        yield running
    finally:
        running.process.kill()
        running.process.wait()


def send(app, name: str, count: int = 1) -> list[int]:
    """Send alerts and return the ids of their runs."""
    alerts = [
        {"status": "firing", "labels": {"alertname": name, "instance": f"web-{number}"}}
        for number in range(count)
    ]
    return [
        run
        for receipt in app.post("webhook", {"alerts": alerts})["alerts"]
        for run in receipt["runs"]
    ]


@pytest.mark.parametrize(
    ("cluster", "role", "number"),
    [
        ("launch", "worker", signal.SIGKILL),
        ("launch", "worker", signal.SIGSTOP),
        ("launch", "guard", signal.SIGKILL),
        ("follow", "worker", signal.SIGKILL),
        ("follow", "worker", signal.SIGSTOP),
        ("", "supervisor", signal.SIGKILL),
    ],
    ids=lambda value: getattr(value, "name", value),
)
@pytest.mark.usefixtures("bucket")
def test_work_continues_after_the_loss_of_a_process(cluster, role, number, app, sandbox, worker):
    name = f"{cluster}-{role}-{number.name}"
    [before] = send(app, f"{name}-before")
    app.wait_for(f"runs/{before}/", lambda run: run["completed_at"])
    victim = worker.pid_of(cluster, role)
    family = worker.descendants()

    os.kill(victim, number)
    send(app, f"{name}-queued", BURST)
    if role == "supervisor":
        worker.process.wait()
        wait_until(lambda: not family & process_table().keys(), "orphans are still running")
        worker.start()
    [run_id] = send(app, f"{name}-after")

    run = app.wait_for(f"runs/{run_id}/", lambda run: run["completed_at"])
    assert (run["status"], run["reason"]) == ("success", ""), worker.log.read_text()
    executions = app.get(f"executions/?run={run_id}")["results"]
    assert [row["status"] for row in executions] == ["success", "success"]
    [tag] = [row["trace_tag"] for row in executions if row["executed_via_stackstorm"]]
    assert sandbox.posts_by_trace_tag()[tag] == 1
    for row in executions:
        page = app.get(f"transitions/?subject_type=execution&subject_id={row['id']}")
        assert [one["to_status"] for one in page["results"]].count("success") == 1
    wait_until(lambda: victim not in process_table(), "the lost process still exists")


def test_no_execution_started_twice_and_no_process_is_left(app, sandbox, worker):
    for cluster in ("launch", "follow"):
        wait_until(lambda name=cluster: worker.cluster(name), f"{cluster} is incomplete")
    app.wait_for("runs/?status=pending", lambda page: not page["results"])
    app.wait_for("runs/?status=running", lambda page: not page["results"])
    family = worker.descendants()

    worker.process.send_signal(signal.SIGTERM)

    assert worker.process.wait(TIMEOUT_SECONDS) == 0
    assert not family & process_table().keys()
    assert sandbox.started_twice() == []
    assert app.get("runs/?status=unknown")["results"] == []
