"""``make bench``, or ``python -m tools.bench``: measure PoundCake and compare it with baselines.

It runs PoundCake as in production, against a StackStorm sandbox, and stops everything at the end.
"""

import argparse
import os
import random
import signal
import sys
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

from tests import servers
from tools.bench import databases, meters, report, sandbox_process, scenarios
from tools.bench.context import QUICK, Bench, Clock, Sizes
from tools.bench.report import Figure
from tools.bench.stack import Stack

DEFAULT_JSON = Path(__file__).parents[2] / "var" / "bench.json"


@dataclass(slots=True)
class Results:
    """The results so far, on all databases."""

    figures: dict[str, list[Figure]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    versions: list[str] = field(default_factory=list)


def main() -> int:
    """Measure, print the table and write the JSON; when interrupted, with the results so far."""
    options = _options()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, _exit)
    _ignore_environment()
    machine = meters.Machine()
    results = Results()
    try:
        for kind in databases.KINDS if options.database == "both" else (options.database,):
            _measure(kind, options, results)
    finally:
        if results.figures:
            _write(options, results, machine.described())
    return 0 if results.figures else 1


def _ignore_environment() -> None:
    """Remove settings that would make us use other machines."""
    os.environ["NO_PROXY"] = os.environ["no_proxy"] = "*"
    os.environ["POUNDCAKE_ENV_FILE"] = ""
    # A setting from a file takes precedence, and may name a production database.
    for name in ("DATABASE_URL", "SECRET_KEY", "ST2_API_KEY"):
        os.environ.pop(f"{name}_FILE", None)


def _measure(kind: str, options: argparse.Namespace, results: Results) -> None:
    sizes = QUICK if options.quick else Sizes()
    sizes = replace(sizes, storm_alerts=options.storm or sizes.storm_alerts)
    with ExitStack() as stack:
        try:
            database = stack.enter_context(databases.running(kind))
        except servers.ServerMissing as missing:
            results.notes.append(f"not measured on {kind}: {missing}")
            sys.stderr.write(f"{results.notes[-1]}\n")
            return
        sandbox, other = (
            stack.enter_context(
                sandbox_process.running(latency=options.latency, duration=options.duration)
            )
            for _ in range(2)
        )
        bench = Bench(
            stack=stack.enter_context(Stack(database, sandbox)),
            other_sandbox=other,
            sizes=sizes,
            clock=Clock(options.seconds),
            chance=random.Random(options.seed),
            execution_seconds=options.duration,
            figures=results.figures.setdefault(kind, []),
            notes=results.notes,
        )
        results.versions.append(database.version())
        scenarios.run(bench, options.only)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tools.bench", description=__doc__)
    parser.add_argument("--database", choices=(*databases.KINDS, "both"), default="both")
    parser.add_argument(
        "--only",
        type=_groups,
        default=scenarios.GROUPS,
        metavar="GROUP,...",
        help=f"some of {','.join(scenarios.GROUPS)}; the baselines are always measured",
    )
    parser.add_argument("--quick", action="store_true", help="a smoke test")
    parser.add_argument("--json", type=Path, default=DEFAULT_JSON, metavar="PATH")
    parser.add_argument(
        "--latency", type=float, default=0.02, help="seconds until StackStorm answers"
    )
    parser.add_argument(
        "--duration", type=float, default=0.2, help="seconds that each execution takes"
    )
    parser.add_argument("--seconds", type=float, default=350.0, help="time limit for each database")
    parser.add_argument("--storm", type=_storm_size, metavar="N", help="alerts in a storm (1000)")
    parser.add_argument("--seed", type=int, default=1, help="seed of the random arrivals")
    return parser.parse_args()


def _groups(text: str) -> tuple[str, ...]:
    groups = tuple(text.split(","))
    if unknown := set(groups) - set(scenarios.GROUPS):
        raise argparse.ArgumentTypeError(f"{', '.join(sorted(unknown))}: no such group")
    return groups


def _storm_size(text: str) -> int:
    size = int(text)
    if not 0 < size <= sandbox_process.MOST_ALERTS:
        raise argparse.ArgumentTypeError(f"must be from 1 to {sandbox_process.MOST_ALERTS}")
    return size


def _exit(_number: int, _frame: FrameType | None) -> NoReturn:
    # A second signal must not interrupt the cleanup.
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    raise SystemExit(130)


def _write(options: argparse.Namespace, results: Results, machine: dict[str, Any]) -> None:
    about = machine | {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "databases": results.versions,
        "file_system": meters.file_system(Path(tempfile.gettempdir())),
        "load": os.getloadavg(),
        "options": {name: str(value) for name, value in vars(options).items()},
    }
    busy, stolen = machine["busy_share"], machine["stolen_share"]
    lines = [
        "",
        f"{machine['processor']}, {machine['cores']} cores, {100 * busy:.0f} % busy,"
        f" {100 * stolen:.0f} % stolen; {', '.join(results.versions)}"
        f" on {about['file_system']}; StackStorm sandbox: {options.latency * 1_000:g} ms to each"
        f" response, {options.duration * 1_000:g} ms to each end",
        "p50/p95/p99; ratio: how many times worse than the baseline (tools/README.md)",
        "",
        report.table(results.figures),
        "",
        *results.notes,
        f"As JSON: {options.json}",
    ]
    sys.stdout.write("\n".join(lines) + "\n")
    report.save(options.json, report.as_json(results.figures, about=about, notes=results.notes))


if __name__ == "__main__":
    sys.exit(main())
