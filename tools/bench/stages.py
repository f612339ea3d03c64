"""``make stages``, or ``python -m tools.bench.stages``: CPU time of each processing stage.

One process does the work of web server and workers, one job after the other, on a real database and
against the StackStorm sandbox. Timers are patched around named functions. Communication between
processes and the web server's own work are not included.
"""

import argparse
import importlib.util
import io
import json
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from multiprocessing import Value
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from tests import servers
from tools.bench import (
    API_KEY,
    ONE_STEP,
    databases,
    load,
    meters,
    sandbox_process,
    stage_table,
    written,
)
from tools.bench.databases import Database
from tools.bench.profile import Profile
from tools.bench.sandbox_process import SandboxProcess
from tools.bench.stage_table import FOLLOW, LAUNCH, WEB, Arrivals, Result

FRAMEWORK, DEQUEUE = "web framework", "dequeue"
# The functions of each stage, in the order of the table. Time spent in other stages is excluded:
# the intake's transaction counts as inserts, since matching is a stage of its own.
STAGES: dict[str, tuple[str, ...]] = {
    "authentication": (
        "remediation.api.short_chain.recent_token_of",
        "remediation.api.authentication._find_token",  # every ten seconds
        "remediation.models.token.valid_token_rows",
    ),
    "parse": ("remediation.alertmanager.decode", "remediation.alertmanager.read"),
    "match": ("remediation.engine.intake.deliveries.assign",),
    "insert": ("remediation.engine.intake.receive.store",),
    "enqueue": ("remediation.queue.enqueue",),
    "audit": (
        "audit.middleware.CallRecord.prepare",
        "audit.middleware.CallRecord.row",
        "remediation.engine.intake.deliveries.insert",
    ),
    FRAMEWORK: (),  # the rest of a request
    DEQUEUE: ("remediation.queue.discard_pending",),  # and the rest of a job, in django-q2
    "claim": (
        "remediation.engine.launching.prepared_launch.claim",
        "remediation.engine.launching.preparation.load_related",
        "remediation.engine.launching.launch_order.LaunchQueue.take",
    ),
    "render": ("remediation.engine.launching.parameters.render_all",),
    "POST": ("remediation.engine.launching.prepared_launch.PreparedLaunch.send",),
    "wait for answers": ("remediation.engine.launching.launch.wait",),
    "record the start": ("remediation.engine.launching.started_executions.record_all",),
    "launch, the rest": ("remediation.jobs.launch_due",),
    "poll": (
        "remediation.stackstorm.client.StackStormClient.executions",
        "remediation.stackstorm.client.StackStormClient.results",
    ),
    "settle": ("remediation.engine.outcomes.poll.settle_without_tasks",),
    "tick, the rest": ("remediation.jobs.tick",),
}
ENVIRONMENT = {
    "ALLOWED_HOSTS": "testserver",
    "DJANGO_SETTINGS_MODULE": "poundcake.settings",
    "LOG_LEVEL": "ERROR",
    "POLL_INTERVAL": "0.4",
    "SECRET_KEY": "benchmark-0123456789-0123456789-0123456789",
    "ST2_API_KEY": API_KEY,
    "ST2_STREAM_URL": "",
}
EXECUTION_SECONDS = 0.05
TIMEOUT_SECONDS = 300.0


def main() -> int:
    """Print the table."""
    options = _options()
    stages = _mapping(options.mapping) if options.mapping else STAGES
    kinds = (
        Arrivals("one by one", options.alone, 1, 1),
        Arrivals("in a storm", options.rounds, options.alerts, 20),
    )
    with ExitStack() as stack:
        try:
            database = stack.enter_context(databases.running(options.database))
        except servers.ServerMissing as missing:
            sys.stderr.write(f"{missing}\n")
            return 1
        sandbox = stack.enter_context(
            sandbox_process.running(latency=0.0, duration=EXECUTION_SECONDS)
        )
        system = System(database, sandbox)
        system.process(Arrivals("warm-up", 3, 20, 20), Profile(), stages)
        results = [
            system.process(arrivals, Profile(), stages)
            for arrivals in kinds
            for _ in range(options.repeat)
        ]
        best = [
            min(
                (one for one in results if one.arrivals is arrivals),
                key=lambda one: one.profile.cpu,
            )
            for arrivals in kinds
        ]
        system.close()
        version = f"{database.version()}, Python {sys.version.split()[0]}"
    if options.json:
        stage_table.save(options.json, best)
    if options.before:
        best = stage_table.side_by_side(stage_table.load(options.before), best)
    columns = stage_table.COMPARED_COLUMNS if options.before else stage_table.COLUMNS
    sys.stdout.write(stage_table.table(best, list(stages), version, columns) + "\n")
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tools.bench.stages", description=__doc__)
    parser.add_argument("--database", choices=databases.KINDS, default="mariadb")
    parser.add_argument("--alone", type=int, default=60, help="alerts sent one by one")
    parser.add_argument("--alerts", type=int, default=200, help="alerts in a storm")
    parser.add_argument("--rounds", type=int, default=3, help="storms, one after the other")
    parser.add_argument(
        "--repeat", type=int, default=2, help="runs; the one with the least CPU time is shown"
    )
    parser.add_argument(
        "--mapping", type=Path, help="a Python file with STAGES, for another version of the code"
    )
    parser.add_argument("--json", type=Path, help="output file")
    parser.add_argument("--before", type=Path, help="JSON of an older version, to compare with")
    return parser.parse_args()


def _mapping(path: Path) -> dict[str, tuple[str, ...]]:
    spec = importlib.util.spec_from_file_location("mapping", path)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    stages: dict[str, tuple[str, ...]] = module.STAGES
    return stages


class System:
    """PoundCake in this process."""

    def __init__(self, database: Database, sandbox: SandboxProcess) -> None:
        """Set up Django on the database and create the bucket and a token."""
        os.environ |= ENVIRONMENT | {"DATABASE_URL": database.url, "ST2_API_URL": sandbox.url}
        for name in ("DATABASE_URL", "SECRET_KEY", "ST2_API_KEY"):
            os.environ.pop(f"{name}_FILE", None)
        import django

        django.setup()
        from django.core.handlers.wsgi import WSGIHandler
        from django.core.management import call_command
        from django.db import connection

        from remediation import queue

        self.database = database
        self.connection = connection
        written.start(database)
        call_command("migrate", verbosity=0)
        queue.enqueue(queue.TICK)
        self.handle = WSGIHandler()
        printed = io.StringIO()
        scopes = ["--scope", "webhook", "--scope", "edit"]
        call_command("create_token", "stages", *scopes, stdout=printed)
        self.token = printed.getvalue().splitlines()[-1]
        action = self.post("actions/", {"name": "bench_step1", "st2_action_ref": "bench.step1"})
        call_command("check_stackstorm", stdout=io.StringIO())
        steps = [
            {"action": action["id"], "parameters": {"hosts": "{{ alert.instance | host }}"}},
        ]
        bucket = {"name": ONE_STEP, "alert_name_pattern": ONE_STEP, "steps": steps}
        self.post("buckets/", bucket)

    def close(self) -> None:
        """Close the database connection."""
        self.connection.close()

    def post(self, path: str, body: object) -> Any:
        """POST to the API and return the JSON."""
        return json.loads(self.call(self.request(path, json.dumps(body).encode())))

    def request(self, path: str, body: bytes) -> dict[str, Any]:
        """Return the WSGI environ of a request."""
        from django.test import RequestFactory

        request = RequestFactory().post(
            f"/api/v1/{path}",
            data=body,
            content_type="application/json",
            HTTP_AUTHORIZATION=f"Bearer {self.token}",
            HTTP_USER_AGENT="Alertmanager/0.25.0",
        )
        environ: dict[str, Any] = request.environ
        return environ

    def call(self, environ: dict[str, Any]) -> bytes:
        """Handle a request and return the body."""
        statuses: list[str] = []

        def start_response(status: str, _headers: Any, _error: Any = None, /) -> Any:
            statuses.append(status)

        response = self.handle(environ, start_response)
        body = b"".join(response)
        response.close()
        if not statuses[0].startswith("2"):
            raise RuntimeError(f"status {statuses[0]}: {body.decode()[:500]}")
        return body

    def process(
        self, arrivals: Arrivals, profile: Profile, stages: Mapping[str, Sequence[str]]
    ) -> Result:
        """Send alerts, start their executions and poll their ends."""
        result = Result(arrivals, profile)
        before = written.read(self.database)
        self.connection.execute_wrappers.append(profile.count)
        try:
            with profile.wrapped(stages):
                for _ in range(arrivals.rounds):
                    self._round(arrivals, result)
        finally:
            self.connection.execute_wrappers.remove(profile.count)
        written.add(result.written, before, written.read(self.database))
        return result

    def _round(self, arrivals: Arrivals, result: Result) -> None:
        bodies = [
            self.request("webhook", call.body)
            for call in load.deliveries(ONE_STEP, alerts=arrivals.alerts, a_body=arrivals.a_body)
        ]

        def send() -> None:
            for body in bodies:
                with result.profile.measured(), result.profile.stage(FRAMEWORK):
                    self.call(body)

        self._phase(result, WEB, send)
        self._phase(
            result, LAUNCH, lambda: self._do_jobs(result.profile, "LAUNCH_DUE", _are_started)
        )
        time.sleep(2 * EXECUTION_SECONDS)
        self._phase(result, FOLLOW, lambda: self._do_jobs(result.profile, "TICK", _have_ended))

    def _phase(self, result: Result, phase: str, work: Callable[[], None]) -> None:
        server = [pid for pid in (self.database.server_pid,) if pid]
        before = meters.of(server)["CPU ms"]
        result.profile.phase = phase
        work()
        used = meters.of(server)["CPU ms"] - before
        result.database_ms[phase] = result.database_ms.get(phase, 0.0) + used

    def _do_jobs(self, profile: Profile, job: str, is_done: Callable[[], bool]) -> None:
        """Run the due jobs of a cluster until ``is_done``."""
        from remediation import queue

        cluster = getattr(queue, job).cluster
        until = time.monotonic() + TIMEOUT_SECONDS
        while not is_done():
            if time.monotonic() > until:
                raise RuntimeError(f"The {cluster} cluster did not finish in time")
            if queue.due_wake_ups()[cluster].count:
                with profile.measured(), profile.stage(DEQUEUE):
                    _do_job(cluster)
            else:
                time.sleep(0.005)


def _are_started() -> bool:
    from remediation.models import ActionExecution

    return not ActionExecution.objects.filter(status__in=("pending", "launching")).exists()


def _have_ended() -> bool:
    from remediation.models import BucketRun

    return not BucketRun.objects.filter(completed_at=None).exists()


def _do_job(cluster: str) -> None:
    """Run one queued job as a process of the cluster does."""
    from django_q.monitor import save_task
    from django_q.signing import SignedPackage
    from django_q.worker import worker

    from remediation import queue

    broker = queue.WorkerBroker(cluster)
    tasks: SimpleQueue[Any] = SimpleQueue()
    results: SimpleQueue[Any] = SimpleQueue()
    for pk, package in broker.dequeue() or []:
        tasks.put(SignedPackage.loads(package) | {"cluster": cluster, "ack_id": pk})
    tasks.put("STOP")
    worker(tasks, results, Value("f", -1))
    done = [results.get() for _ in range(results.qsize())]
    if failed := [task["result"] for task in done if not task["success"]]:
        raise RuntimeError(failed[0])
    for task in done:
        save_task(task, broker)
        broker.acknowledge(task["ack_id"])


if __name__ == "__main__":
    sys.exit(main())
