"""``make bench``, or ``python -m tools.bench``: measure PoundCake from outside, beside floors.

It starts PoundCake as production does, against a fake StackStorm, and ends whatever it started.
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
from tools.bench import databases, meters, report, scenarios
from tools.bench.plan import QUICK, Bench, Clock, Sizes
from tools.bench.report import Figure
from tools.bench.stack import Stack, stub_started

DEFAULT_JSON = Path(__file__).parents[2] / "var" / "bench.json"


@dataclass(slots=True)
class Results:
    """What has been measured so far, on all databases."""

    figures: dict[str, list[Figure]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    versions: list[str] = field(default_factory=list)


def main() -> int:
    """Measure, print the table and write the JSON; also what there is when it is interrupted."""
    options = _options()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, _end)
    _stay_here()
    machine = meters.Machine()
    results = Results()
    try:
        for kind in databases.KINDS if options.database == "both" else (options.database,):
            _measure(kind, options, results)
    finally:
        if results.figures:
            _tell(options, results, machine.described())
    return 0 if results.figures else 1


def _stay_here() -> None:
    """Keep what the environment says of other machines from what is started here."""
    os.environ["NO_PROXY"] = os.environ["no_proxy"] = "*"
    # A setting in a file would win over ours: it may name the database of production.
    for name in ("DATABASE_URL", "SECRET_KEY", "ST2_API_KEY"):
        os.environ.pop(f"{name}_FILE", None)


def _measure(kind: str, options: argparse.Namespace, results: Results) -> None:
    sizes = QUICK if options.quick else Sizes()
    sizes = replace(sizes, storm_alerts=options.storm or sizes.storm_alerts)
    with ExitStack() as running:
        try:
            database = running.enter_context(databases.running(kind))
        except servers.ServerMissing as missing:
            results.notes.append(f"not measured on {kind}: {missing}")
            sys.stderr.write(f"{results.notes[-1]}\n")
            return
        stub, other = (
            running.enter_context(stub_started(latency=options.latency, duration=options.duration))
            for _ in range(2)
        )
        bench = Bench(
            stack=running.enter_context(Stack(database, stub)),
            other_stub=other,
            sizes=sizes,
            clock=Clock(options.seconds),
            chance=random.Random(options.seed),
            stub_seconds=options.duration,
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
        help=f"some of {','.join(scenarios.GROUPS)}; the floors are always measured",
    )
    parser.add_argument("--quick", action="store_true", help="a smoke run: its figures say little")
    parser.add_argument("--json", type=Path, default=DEFAULT_JSON, metavar="PATH")
    parser.add_argument(
        "--latency", type=float, default=0.02, help="seconds until the stub answers"
    )
    parser.add_argument(
        "--duration", type=float, default=0.2, help="seconds that each execution takes"
    )
    parser.add_argument(
        "--seconds", type=float, default=290.0, help="for each database; what is left out is told"
    )
    parser.add_argument("--storm", type=int, metavar="N", help="alerts of a storm (1000)")
    parser.add_argument("--seed", type=int, default=1, help="of the random arrivals")
    return parser.parse_args()


def _groups(text: str) -> tuple[str, ...]:
    groups = tuple(text.split(","))
    if unknown := set(groups) - set(scenarios.GROUPS):
        raise argparse.ArgumentTypeError(f"{', '.join(sorted(unknown))}: no such group")
    return groups


def _end(_number: int, _frame: FrameType | None) -> NoReturn:
    # A second signal must not cut the ending short.
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    raise SystemExit(130)


def _tell(options: argparse.Namespace, results: Results, machine: dict[str, Any]) -> None:
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
        f" on {about['file_system']}; StackStorm is a stub: {options.latency * 1_000:g} ms to each"
        f" answer, {options.duration * 1_000:g} ms to each end",
        "p50/p95/p99; times: how many times the floor, 1 is as good (docs/benchmarks.md)",
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
