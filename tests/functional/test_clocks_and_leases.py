"""Several machines: wrong clocks, and a worker that is frozen past its lease."""

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from itertools import count
from pathlib import Path
from time import sleep

import pytest
import requests

from remediation import queue
from st2_sandbox import Sandbox
from tests import servers
from tests.functional.test_process_loss import Worker, send, wait_until
from tests.servers.poundcake import PoundCake, manage, web_server

API_KEY = "two-machines"
SHIFTED_CLOCK = Path(__file__).parent / "shifted_clock"
ST2_TIMEOUT = 2.0
LEASE_SECONDS = 4 * ST2_TIMEOUT + 30  # lease() in the engine
numbers = count(1)


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(api_key=API_KEY) as running:
        running.configure(duration_seconds=0.1)
        yield running


@pytest.fixture
def app(sandbox, mariadb_server) -> Iterator[PoundCake]:
    """A web server without workers, on MariaDB."""
    bind = f"127.0.0.1:{servers.free_port()}"
    environment = os.environ | {
        "BIND": bind,
        "DATABASE_URL": mariadb_server.new_database(f"machines{next(numbers)}"),
        "ST2_API_URL": sandbox.url,
        "ST2_API_KEY": API_KEY,
        "ST2_TIMEOUT": str(ST2_TIMEOUT),
        # One call at a time beside the poll's, so the other claimed executions wait in the worker.
        "ST2_MAX_CONCURRENT_REQUESTS": "2",
        "LAUNCH_LOOKUP_SECONDS": "2",
        "POLL_INTERVAL": "0.5",
        "WORKER_DEAD_SECONDS": "60",
        "SECRET_KEY": "two-machines-0123456789-0123456789-0123456789",
        "DJANGO_SETTINGS_MODULE": "poundcake.settings",
    }
    manage(environment, "migrate", "--verbosity", "0")
    manage(environment, "seed_actions")
    token = manage(environment, "create_token", "tests", "--scope", "admin").splitlines()[-1]
    poundcake = PoundCake(f"http://{bind}", token, environment)
    with web_server(poundcake):
        [action] = poundcake.get("actions/?name=st2_core_local")["results"]
        step = {"action": action["id"], "parameters": {"cmd": "true"}}
        poundcake.post("buckets/", {"name": "any", "alert_name_pattern": ".*", "steps": [step]})
        yield poundcake


@pytest.fixture
def start_worker(app, tmp_path) -> Iterator[Callable[..., Worker]]:
    """Start a worker whose clock is ``ahead`` by some seconds."""
    with ExitStack() as stack:

        def start(ahead: float = 0.0) -> Worker:
            environment = app.environment | {
                "PYTHONPATH": str(SHIFTED_CLOCK),
                "SHIFT_SECONDS": str(ahead),
            }
            worker = Worker(environment, tmp_path / f"worker{next(numbers)}.log")
            stack.callback(worker.process.wait)
            stack.callback(worker.process.kill)
            return worker

        yield start


def workers_of(app):
    headers = {"Authorization": f"Bearer {app.token}"}
    return requests.get(f"{app.url}/readyz", headers=headers, timeout=10).json()["workers"]


def skews_of(app, *, clusters):
    """Return the clock skews by cluster, {} until so many clusters have a recent heartbeat."""
    skews = {
        name: worker["skew_seconds"]
        for name, worker in workers_of(app).items()
        if name.partition("@")[0] in queue.CLUSTERS and worker["age_seconds"] < 20
    }
    return skews if len(skews) == clusters else {}


def wait_for_beats(app, job, *, count):
    """Wait until so many distinct heartbeats of a job were seen."""
    seen = set()

    def are_seen():
        seen.add(workers_of(app)[job]["beat_at"])
        return len(seen) >= count

    wait_until(are_seen, f"{job} has stopped")


def execution_of(app, run_id):
    [row] = app.get(f"executions/?run={run_id}")["results"]
    return row


def ended(app, run_ids):
    return [app.wait_for(f"runs/{pk}/", lambda run: run["completed_at"]) for pk in run_ids]


def test_wrong_clocks_have_no_effect(app, sandbox, start_worker):
    app.post("pause/", {"reason": "maintenance", "for_seconds": 300})
    held = send(app, "Held", 3)
    workers = [start_worker(ahead) for ahead in (600.0, -600.0, 0.0)]
    skews = wait_until(lambda: skews_of(app, clusters=9), "not all clusters have a heartbeat")

    assert {round(skew, -2) for skew in skews.values()} == {600, -600, 0}
    wait_for_beats(app, "tick", count=10)
    assert [app.get(f"runs/{pk}/")["status"] for pk in held] == ["pending"] * 3

    sandbox.configure(latency_seconds=1.0)
    app.delete("pause/")
    runs = ended(app, [*held, *send(app, "Free", 3)])

    assert {run["status"] for run in runs} == {"success"}
    assert sorted(sandbox.posts_by_trace_tag().values()) == [1] * 6
    wait_until(lambda: skews_of(app, clusters=9), "a cluster has stopped")
    for worker in workers:
        assert "Restarting it" not in worker.log.read_text()


def test_a_worker_that_continues_after_its_lease_starts_nothing(app, sandbox, start_worker):
    sandbox.configure(latency_seconds=1.0)
    first = start_worker()
    run_ids = send(app, "Storm", 6)
    wait_until(
        lambda: [execution_of(app, pk)["status"] for pk in run_ids].count("launching") > 1,
        "no claimed execution waits in the worker",
    )
    stopped = [first.process.pid, *first.descendants()]
    for pid in stopped:
        os.kill(pid, signal.SIGSTOP)
    launching = [pk for pk in run_ids if execution_of(app, pk)["status"] == "launching"]
    assert launching

    start_worker()
    sleep(LEASE_SECONDS)
    ended(app, run_ids)
    for pid in stopped:
        os.kill(pid, signal.SIGCONT)
    last = ended(app, send(app, "After", 1))

    runs = [app.get(f"runs/{pk}/") for pk in run_ids] + last
    assert {run["status"] for run in runs} == {"success"}
    sleep(ST2_TIMEOUT)
    assert sorted(sandbox.posts_by_trace_tag().values()) == [1] * 7
    started = {remote["id"] for remote in sandbox.executions}
    assert started == {execution_of(app, run["id"])["st2_execution_id"] for run in runs}
