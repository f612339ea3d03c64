"""Chaos for people to watch: ``make chaos``.

Sends alerts through a real Alertmanager while the StackStorm sandbox drops, fails, refuses and
delays its answers, ends some executions with a result of 16 MB and reports each end by a callback,
and while random processes of PoundCake, on two machines whose clocks differ, are killed or stopped
for longer than a lease. Then it compares the sandbox's log of executions with the recorded ones,
row by row. It stops by itself.
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
from tests.chaos_events import Processes, Trouble, Weather, every
from tests.chaos_verdict import Row, differences
from tests.servers import alertmanager, mariadb, poundcake
from tests.servers.poundcake import MANAGE, PoundCake

API_KEY = "chaos"
BATCH = 50  # alerts handed to Alertmanager at once
ATTEMPTS = 30  # to be answered while web processes die and stop
HUGE_EVERY, HUGE_CHARACTERS = 50, 2_700_000  # 16 MB as ASCII JSON
CLOCKS = "-600,0,600"  # seconds by which a process's wall clock is ahead, one of these
SHIFTED = Path(__file__).parent / "functional" / "shifted"


@dataclass(frozen=True)
class Verdict:
    """What became of the alerts; the last five have to be zero."""

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
    never_began: int
    not_ended: int
    differences: int

    @property
    def is_good(self) -> bool:
        """Whether nothing was lost, done twice or left open."""
        wrong = (self.started_twice, self.lost, self.never_began, self.not_ended, self.differences)
        return not any(wrong)


def main() -> int:
    """Make chaos and say what came of it; 0 if nothing was lost, done twice or left open."""
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
    shifted = {"PYTHONPATH": str(SHIFTED), "SHIFT_SECONDS": CLOCKS}
    with ExitStack() as stack:
        stack.enter_context(sandbox)
        app = stack.enter_context(
            poundcake.running(
                database_url=stack.enter_context(_database(options.database)),
                sandbox=sandbox,
                api_key=API_KEY,
                ST2_NOTIFY="true",
                # On SQLite the clock of the one machine counts.
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
        weather = Weather(sandbox, chance)
        troubles = [
            stack.enter_context(every(options.kill_every, processes.disturb, processes.go_on)),
            stack.enter_context(every(options.weather_every, weather.change, weather.clear_up)),
        ]
        for first in range(0, options.alerts, BATCH):
            numbers = range(first, min(first + BATCH, options.alerts))
            sender.post_alerts([_alert(number) for number in numbers])
            time.sleep(0.2)
        runs = _wait_for_the_end(app, options, troubles)
        verdict = _verdict(app, sandbox, runs, processes, sent=options.alerts)
    for name, value in vars(verdict).items():
        sys.stdout.write(f"{name.replace('_', ' '):14} {value}\n")
    sys.stdout.write("Good.\n" if verdict.is_good else "BAD.\n")
    return 0 if verdict.is_good else 1


def _results(count: int) -> list[dict[str, Any]]:
    """Return what the executions print: every HUGE_EVERY-th one more than a packet of MariaDB."""
    usual = {"stdout": "done", "stderr": "", "return_code": 0, "succeeded": True, "failed": False}
    huge = usual | {"stdout": "\u6f22" * HUGE_CHARACTERS}
    return [huge if number % HUGE_EVERY == HUGE_EVERY // 2 else usual for number in range(count)]


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--alerts", type=int, default=1_000)
    parser.add_argument("--drop", type=float, default=0.1, help="share of answers that are cut")
    parser.add_argument("--fail", type=float, default=0.05, help="share of POSTs that get a 500")
    parser.add_argument(
        "--kill-every", type=float, default=5.0, help="seconds until a process dies or stops"
    )
    parser.add_argument("--freeze", type=float, default=60.0, help="seconds of the longest stop")
    parser.add_argument(
        "--weather-every", type=float, default=3.0, help="seconds until StackStorm refuses or not"
    )
    parser.add_argument("--database", choices=("sqlite", "mariadb"), default="mariadb")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--trouble", type=float, default=240.0, help="seconds until it is calm")
    parser.add_argument("--patience", type=float, default=600.0, help="seconds until not ended")
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
    # It fires until the end: one that Alertmanager resolves before it began would be skipped.
    ends_at = datetime.datetime.now(tz=datetime.UTC) + datetime.timedelta(hours=2)
    labels = {"alertname": "Chaos", "instance": f"host-{number}", "severity": "page"}
    return {"labels": labels, "endsAt": ends_at.isoformat()}


@contextmanager
def _second_worker(app: PoundCake) -> Iterator[None]:
    """Run a worker as on another machine."""
    with subprocess.Popen([*MANAGE, "worker"], env=app.environment) as process:
        try:
            yield
        finally:
            process.terminate()


def _wait_for_the_end(
    app: PoundCake, options: argparse.Namespace, troubles: list[Trouble]
) -> list[Row]:
    calm_at = time.monotonic() + options.trouble
    until = time.monotonic() + options.patience
    while True:
        time.sleep(2)
        runs = _all(app, "runs/?page_size=500")
        ended = sum(bool(run["completed_at"]) for run in runs)
        sys.stdout.write(f"{len(runs)} of {options.alerts} alerts have a run, {ended} ended\n")
        sys.stdout.flush()
        is_enough = ended >= options.alerts // 2 and all(trouble.count > 2 for trouble in troubles)
        if is_enough or time.monotonic() > calm_at:
            # The end is watched in peace, for what is disturbed for ever never ends.
            for trouble in troubles:
                trouble.done.set()
        if ended == options.alerts or time.monotonic() > until:
            return runs


def _verdict(
    app: PoundCake, sandbox: Sandbox, runs: list[Row], processes: Processes, *, sent: int
) -> Verdict:
    recorded = _all(app, "executions/?page_size=500")
    found = differences(list(sandbox.executions), recorded)
    for difference in found:
        sys.stdout.write(f"{difference}\n")
    return Verdict(
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
        never_began=sum(run["status"] == "skipped" for run in runs),
        not_ended=sum(not run["completed_at"] for run in runs),
        differences=len(found),
    )


def _get(app: PoundCake, path: str) -> Any:
    """Ask until a web process lives long enough to answer."""
    for _ in range(ATTEMPTS - 1):
        with suppress(requests.RequestException, AssertionError):
            return app.get(path)
        time.sleep(1)
    return app.get(path)


def _all(app: PoundCake, path: str) -> list[Row]:
    """Return all pages of a list."""
    rows: list[Row] = []
    page = _get(app, path)
    while True:
        rows += page["results"]
        if not page["next"]:
            return rows
        page = _get(app, page["next"].partition("/api/v1/")[2])


if __name__ == "__main__":
    sys.exit(main())
