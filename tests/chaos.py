"""``make chaos``: send alerts while processes die and StackStorm fails, then check the records.

Alerts come through a real Alertmanager. The StackStorm sandbox drops, fails, refuses and delays
responses, ends some executions with a result of 16 MB and sends a callback for each end. Random
processes of PoundCake, with different clocks, are killed or stopped for longer than a lease. At the
end the sandbox's executions are compared with the recorded ones, row by row.
"""

import argparse
import datetime
import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import requests

from st2_sandbox import Sandbox
from tests.chaos_comparison import Row, differences
from tests.chaos_events import Processes, Refusals, RepeatedEvent, every
from tests.servers import alertmanager, mariadb, poundcake
from tests.servers.poundcake import MANAGE, PoundCake

API_KEY = "chaos"
BATCH = 50  # alerts sent to Alertmanager at once
ATTEMPTS = 30  # of a request, since web processes die and stop
HUGE_EVERY, HUGE_CHARACTERS = 50, 2_700_000  # 16 MB as ASCII JSON
CLOCKS = "-600,0,600"  # shifts of the wall clock in seconds; each process takes one
SHIFTED_CLOCK = Path(__file__).parent / "functional" / "shifted_clock"


@dataclass(frozen=True)
class Summary:
    """The result; the last five numbers must be zero."""

    sent: int
    delivered: int
    runs: int
    started: int
    unknown: int
    kills: int
    freezes: int
    surplus: int
    started_twice: int
    lost: int
    never_started: int
    not_ended: int
    differences: int

    @property
    def is_good(self) -> bool:
        """Whether nothing was lost, done twice or left open."""
        unfinished = (self.lost, self.never_started, self.not_ended)
        return not any((self.started_twice, *unfinished, self.differences))


def main() -> int:
    """Run it and print the summary; return 0 if nothing was lost, done twice or left open."""
    options = _options()
    sandbox = Sandbox(api_key=API_KEY)
    sandbox.configure(
        duration_seconds=0.2,
        drop_answer_rate=options.drop,
        drop_request_rate=options.drop / 2,
        error_rate=options.fail,
        ghost_rate=options.fail / 2,
        latency_seconds=0.02,
        seed=options.seed,
        results={"core.local": _results(options.alerts)},
    )
    os.environ |= {"LAUNCH_LOOKUP_SECONDS": "5", "ST2_TIMEOUT": "3", "LOG_LEVEL": "ERROR"}
    shifted = {"PYTHONPATH": str(SHIFTED_CLOCK), "SHIFT_SECONDS": CLOCKS}
    with ExitStack() as stack:
        stack.enter_context(sandbox)
        app = stack.enter_context(
            poundcake.running(
                database_url=stack.enter_context(_database(options.database)),
                sandbox=sandbox,
                api_key=API_KEY,
                ST2_NOTIFY="true",
                # With SQLite the clocks of the processes must agree.
                **(shifted if options.database == "mariadb" else {}),
            )
        )
        sandbox.configure(
            callback_url=f"{app.url}/api/v1/stackstorm/webhook", callback_token=app.token
        )
        stack.enter_context(_second_worker(app))
        _make_bucket(app)
        sender = stack.enter_context(
            alertmanager.running(webhook_url=f"{app.url}/api/v1/webhook", token=app.token)
        )
        chance = random.Random(options.seed)
        processes = Processes(chance, freeze_seconds=options.freeze)
        refusals = Refusals(sandbox, chance)
        events = [
            stack.enter_context(every(options.kill_every, processes.disturb, processes.resume)),
            stack.enter_context(every(options.refusals_every, refusals.change, refusals.stop)),
        ]
        for first in range(0, options.alerts, BATCH):
            numbers = range(first, min(first + BATCH, options.alerts))
            sender.post_alerts([_alert(number) for number in numbers])
            time.sleep(0.2)
        runs = _wait_for_the_end(app, options, events)
        summary = _summary(app, sandbox, runs, processes, sent=options.alerts)
    for name, value in vars(summary).items():
        sys.stdout.write(f"{name.replace('_', ' '):14} {value}\n")
    sys.stdout.write("Good.\n" if summary.is_good else "BAD.\n")
    return 0 if summary.is_good else 1


def _results(count: int) -> list[dict[str, Any]]:
    """Return the results; every HUGE_EVERY-th is larger than a packet of MariaDB."""
    usual = {"stdout": "done", "stderr": "", "return_code": 0, "succeeded": True, "failed": False}
    huge = usual | {"stdout": "\u6f22" * HUGE_CHARACTERS}
    return [huge if number % HUGE_EVERY == HUGE_EVERY // 2 else usual for number in range(count)]


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--alerts", type=int, default=1_000)
    parser.add_argument("--drop", type=float, default=0.1, help="share of responses cut off")
    parser.add_argument("--fail", type=float, default=0.05, help="share of POSTs that get a 500")
    parser.add_argument(
        "--kill-every", type=float, default=5.0, help="seconds between lost processes"
    )
    parser.add_argument("--freeze", type=float, default=60.0, help="longest stop in seconds")
    parser.add_argument(
        "--refusals-every", type=float, default=3.0, help="seconds between kinds of refusals"
    )
    parser.add_argument("--database", choices=("sqlite", "mariadb"), default="mariadb")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--trouble", type=float, default=240.0, help="seconds until all faults end")
    parser.add_argument("--patience", type=float, default=600.0, help="time limit in seconds")
    return parser.parse_args()


@contextmanager
def _database(kind: str) -> Iterator[str]:
    if kind == "mariadb":
        with mariadb.running() as server:
            yield server.database_url
    else:
        with TemporaryDirectory(prefix="poundcake-chaos-") as home:
            yield f"sqlite:///{Path(home) / 'poundcake.sqlite3'}"


def _make_bucket(app: PoundCake) -> None:
    [action] = app.get("actions/?name=st2_core_local")["results"]
    step = {"action": action["id"], "parameters": {"cmd": "repair {{ alert.instance | quote }}"}}
    app.post("buckets/", {"name": "chaos", "alert_name_pattern": "Chaos", "steps": [step]})


def _alert(number: int) -> dict[str, object]:
    # It fires until the end: a run whose alert resolves before it starts would be skipped.
    ends_at = datetime.datetime.now(tz=datetime.UTC) + datetime.timedelta(hours=2)
    labels = {"alertname": "Chaos", "instance": f"host-{number}", "severity": "page"}
    return {"labels": labels, "endsAt": ends_at.isoformat()}


@contextmanager
def _second_worker(app: PoundCake) -> Iterator[None]:
    """Run a second worker, as on another machine."""
    with subprocess.Popen([*MANAGE, "worker"], env=app.environment) as process:
        try:
            yield
        finally:
            process.terminate()


def _wait_for_the_end(
    app: PoundCake, options: argparse.Namespace, events: list[RepeatedEvent]
) -> list[Row]:
    faults_end = time.monotonic() + options.trouble
    deadline = time.monotonic() + options.patience
    while True:
        time.sleep(2)
        runs = _all(app, "runs/?page_size=500")
        ended = sum(bool(run["completed_at"]) for run in runs)
        sys.stdout.write(f"{len(runs)} of {options.alerts} alerts have a run, {ended} ended\n")
        sys.stdout.flush()
        is_enough = ended >= options.alerts // 2 and all(event.count > 2 for event in events)
        if is_enough or time.monotonic() > faults_end:
            # Without faults, all runs must end.
            for event in events:
                event.done.set()
        if ended == options.alerts or time.monotonic() > deadline:
            return runs


def _summary(
    app: PoundCake, sandbox: Sandbox, runs: list[Row], processes: Processes, *, sent: int
) -> Summary:
    recorded = _all(app, "executions/?page_size=500")
    found = differences(list(sandbox.executions), recorded)
    for difference in found:
        sys.stdout.write(f"{difference}\n")
    return Summary(
        sent=sent,
        delivered=len(_all(app, "alerts/?page_size=500")),
        runs=len(runs),
        started=len(sandbox.posts_by_trace_tag()),
        unknown=sum(run["status"] == "unknown" for run in runs),
        kills=processes.kills,
        freezes=processes.freezes,
        surplus=sum(len(row["st2_ghost_ids"]) for row in recorded),
        started_twice=len(sandbox.started_twice()),
        lost=sent - len({run["alert"] for run in runs}),
        never_started=sum(run["status"] == "skipped" for run in runs),
        not_ended=sum(not run["completed_at"] for run in runs),
        differences=len(found),
    )


def _get(app: PoundCake, path: str) -> Any:
    """Retry until a web process lives long enough to respond."""
    for _ in range(ATTEMPTS - 1):
        with suppress(requests.RequestException, AssertionError):
            return app.get(path)
        time.sleep(1)
    return app.get(path)


def _all(app: PoundCake, path: str) -> list[Row]:
    """Return the rows of all pages of a list."""
    rows: list[Row] = []
    page = _get(app, path)
    while True:
        rows += page["results"]
        if not page["next"]:
            return rows
        page = _get(app, page["next"].partition("/api/v1/")[2])


if __name__ == "__main__":
    sys.exit(main())
