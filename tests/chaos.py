"""Chaos for people to watch: ``make chaos``.

Sends alerts through a real Alertmanager while the StackStorm sandbox drops, fails and delays its
answers and random processes of PoundCake are killed; then counts. It stops by itself.
"""

import argparse
import os
import random
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from remediation.sandbox import Sandbox
from tests.parts import alertmanager, mariadb, poundcake
from tests.parts.poundcake import PoundCake
from tests.parts.processes import descendants

API_KEY = "chaos"
BATCH = 50  # alerts handed to Alertmanager at once
PROCESSES = ("gunicorn", "manage.py cluster", "manage.py worker")


@dataclass(frozen=True)
class Verdict:
    """What became of the alerts; the last three have to be zero."""

    sent: int
    delivered: int
    runs: int
    started: int
    unknown: int
    kills: int
    started_twice: int
    lost: int
    not_ended: int

    @property
    def is_good(self) -> bool:
        """Whether nothing was lost, done twice or left open."""
        return not (self.started_twice or self.lost or self.not_ended)


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
    )
    os.environ |= {"LAUNCH_LOOKUP_SECONDS": "5", "ST2_TIMEOUT": "3", "LOG_LEVEL": "ERROR"}
    with ExitStack() as stack:
        stack.enter_context(sandbox)
        app = stack.enter_context(
            poundcake.started(
                database_url=stack.enter_context(_database(options.database)),
                sandbox=sandbox,
                api_key=API_KEY,
            )
        )
        _make_bucket(app)
        sender = stack.enter_context(
            alertmanager.started(webhook_url=f"{app.url}/api/v1/webhook", token=app.token)
        )
        killer = stack.enter_context(_killing(options.kill_every, random.Random(options.seed)))
        for first in range(0, options.alerts, BATCH):
            numbers = range(first, min(first + BATCH, options.alerts))
            sender.post_alerts([_alert(number) for number in numbers])
            time.sleep(0.2)
        verdict = _wait_for_the_end(app, sandbox, options, killer)
    for name, value in vars(verdict).items():
        sys.stdout.write(f"{name.replace('_', ' '):14} {value}\n")
    sys.stdout.write("Good.\n" if verdict.is_good else "BAD.\n")
    return 0 if verdict.is_good else 1


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--alerts", type=int, default=1_000)
    parser.add_argument("--drop", type=float, default=0.1, help="share of answers that are cut")
    parser.add_argument("--fail", type=float, default=0.05, help="share of POSTs that get a 500")
    parser.add_argument("--kill-every", type=float, default=5.0, help="seconds between two kills")
    parser.add_argument("--database", choices=("sqlite", "mariadb"), default="mariadb")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--patience", type=float, default=600.0, help="seconds until not ended")
    return parser.parse_args()


@contextmanager
def _database(kind: str) -> Iterator[str]:
    if kind == "mariadb":
        with mariadb.started() as server:
            yield server.database_url
    else:
        with TemporaryDirectory(prefix="poundcake-chaos-") as home:
            yield f"sqlite:///{Path(home) / 'poundcake.sqlite3'}"


def _make_bucket(app: PoundCake) -> None:
    [action] = app.get("actions/?name=st2_core_local")["results"]
    step = {"action": action["id"], "parameters": {"cmd": "repair {{ alert.instance | quote }}"}}
    app.post("buckets/", {"name": "chaos", "alert_name_pattern": "Chaos", "steps": [step]})


def _alert(number: int) -> dict[str, object]:
    return {"labels": {"alertname": "Chaos", "instance": f"host-{number}", "severity": "page"}}


class Killer:
    """Kills one process of PoundCake's at a time."""

    def __init__(self, chance: random.Random) -> None:
        self.chance = chance
        self.kills = 0
        self.done = threading.Event()

    def run(self, seconds: float) -> None:
        """Kill one every ``seconds`` until done."""
        while not self.done.wait(seconds):
            pids = [pid for pid in descendants(os.getpid()) if _is_fair_game(pid)]
            if pids:
                os.kill(self.chance.choice(pids), signal.SIGKILL)
                self.kills += 1


@contextmanager
def _killing(seconds: float, chance: random.Random) -> Iterator[Killer]:
    killer = Killer(chance)
    thread = threading.Thread(target=killer.run, args=[seconds], daemon=True)
    thread.start()
    try:
        yield killer
    finally:
        killer.done.set()
        thread.join()


def _is_fair_game(pid: int) -> bool:
    """Tell whether somebody is there to start the process again: not the outermost one."""
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
        parent = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1]
        of_parent = Path(f"/proc/{parent}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    except OSError:
        return False
    is_ours = any(name in words for name in PROCESSES)
    return is_ours and any(name in of_parent for name in PROCESSES)


def _wait_for_the_end(
    app: PoundCake, sandbox: Sandbox, options: argparse.Namespace, killer: Killer
) -> Verdict:
    until = time.monotonic() + options.patience
    while True:
        time.sleep(2)
        runs = _all(app, "runs/?page_size=500")
        ended = sum(bool(run["completed_at"]) for run in runs)
        sys.stdout.write(f"{len(runs)} of {options.alerts} alerts have a run, {ended} ended\n")
        sys.stdout.flush()
        if ended >= options.alerts // 2 and not killer.done.is_set() and killer.kills:
            # The end is watched in peace, for what is killed for ever never ends.
            killer.done.set()
        if ended == options.alerts or time.monotonic() > until:
            break
    alerts = _all(app, "alerts/?page_size=500")
    tags = sandbox.posts_by_trace_tag()
    return Verdict(
        sent=options.alerts,
        delivered=len(alerts),
        runs=len(runs),
        started=len(tags),
        unknown=sum(run["status"] == "unknown" for run in runs),
        kills=killer.kills,
        started_twice=len(sandbox.started_twice()),
        lost=options.alerts - len({run["alert"] for run in runs}),
        not_ended=len(runs) - ended,
    )


def _all(app: PoundCake, path: str) -> list[dict[str, object]]:
    """Return all pages of a list."""
    rows: list[dict[str, object]] = []
    page = app.get(path)
    while True:
        rows += page["results"]
        if not page["next"]:
            return rows
        page = app.get(page["next"].partition("/api/v1/")[2])


if __name__ == "__main__":
    sys.exit(main())
