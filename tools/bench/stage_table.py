"""The results of the stages as a table and as JSON, and a comparison of two versions."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from tools.bench.meters import Reading
from tools.bench.profile import Profile, Use

WEB, LAUNCH, FOLLOW = PHASES = ("intake", "launch", "follow")
CPU, WALL, SQL = "CPU ms", "wall ms", "SQL"
COLUMNS, COMPARED_COLUMNS = (CPU, WALL, SQL), (CPU, SQL)


@dataclass(frozen=True, slots=True)
class Arrivals:
    """How alerts arrive: in rounds, each finished before the next, so many in a body."""

    name: str
    rounds: int
    alerts: int
    a_body: int


@dataclass(slots=True)
class Result:
    """The result for one kind of arrivals.

    ``database_ms``: CPU of the database server by phase. ``written``: what it wrote, by name.
    """

    arrivals: Arrivals
    profile: Profile
    database_ms: dict[str, float] = field(default_factory=dict)
    written: Reading = field(default_factory=dict)

    @property
    def alerts(self) -> int:
        """The number of alerts."""
        return self.arrivals.rounds * self.arrivals.alerts

    def sum(self, phase: str, stages: Sequence[str]) -> dict[str, float]:
        """Return the columns of some stages in a phase, per alert."""
        used = [self.profile.stages.get((phase, stage), Use()) for stage in stages]
        return {
            CPU: sum(use.cpu for use in used) * 1_000 / self.alerts,
            WALL: sum(use.wall for use in used) * 1_000 / self.alerts,
            SQL: sum(use.statements for use in used) / self.alerts,
        }


def table(
    results: Sequence[Result], order: Sequence[str], version: str, columns: Sequence[str] = COLUMNS
) -> str:
    """Return a Markdown table with a row for each stage."""
    heads = [f"{one.arrivals.name}: {name}" for one in results for name in columns]
    counts = ", ".join(f"{one.arrivals.name}: {one.alerts} alerts" for one in results)
    lines = [
        f"{version}; {counts}",
        "",
        f"| stage, per alert | {' | '.join(heads)} |",
        "|---" + "|---:" * len(heads) + "|",
    ]

    def row(name: str, cells: Sequence[dict[str, float | str]]) -> None:
        texts = [_text(cell.get(column, "")) for cell in cells for column in columns]
        lines.append(f"| {name} | {' | '.join(texts)} |")

    for phase in PHASES:
        used = {stage for one in results for at, stage in one.profile.stages if at == phase}
        for stage in [*(one for one in order if one in used), *sorted(used - set(order))]:
            row(stage, [{**one.sum(phase, [stage])} for one in results])
        row(f"**{phase}**", [{**one.sum(phase, list(used))} for one in results])
    row("**not attributed**", [{CPU: _not_attributed(one)} for one in results])
    row("**all**", [_all(one) for one in results])
    if any(any(one.database_ms.values()) for one in results):
        for phase in PHASES:
            row(
                f"database server: {phase}",
                [{CPU: one.database_ms.get(phase, 0.0) / one.alerts} for one in results],
            )
    return "\n".join([*lines, *_written_table(results)])


def _written_table(results: Sequence[Result]) -> list[str]:
    names = sorted({name for one in results for name in one.written})
    if not names:
        return []
    heads = " | ".join(one.arrivals.name for one in results)
    lines = ["", f"| written, per alert | {heads} |", "|---" + "|---:" * len(results) + "|"]
    for name in names:
        texts = [_text(one.written.get(name, 0.0) / one.alerts) for one in results]
        lines.append(f"| {name} | {' | '.join(texts)} |")
    return lines


def _text(value: float | str) -> str:
    return value if isinstance(value, str) else f"{value:.2f}"


def _not_attributed(result: Result) -> str:
    profile = result.profile
    rest = profile.cpu - profile.attributed
    share = f" ({100 * rest / profile.cpu:.1f} %)" if profile.cpu else ""
    return f"{rest * 1_000 / result.alerts:.2f}{share}"


def _all(result: Result) -> dict[str, float | str]:
    statements = sum(use.statements for use in result.profile.stages.values())
    return {CPU: result.profile.cpu * 1_000 / result.alerts, SQL: statements / result.alerts}


def side_by_side(before: Sequence[Result], now: Sequence[Result]) -> list[Result]:
    """Return the results of two versions in pairs, marked as before and now."""
    pairs = zip(_named(before, "before"), _named(now, "now"), strict=True)
    return [one for pair in pairs for one in pair]


def _named(results: Sequence[Result], when: str) -> list[Result]:
    return [
        replace(one, arrivals=replace(one.arrivals, name=f"{one.arrivals.name}, {when}"))
        for one in results
    ]


def save(path: Path, results: Sequence[Result]) -> None:
    """Write results as JSON."""
    content = [
        {
            "arrivals": asdict(one.arrivals),
            "cpu": one.profile.cpu,
            "database_ms": one.database_ms,
            "written": one.written,
            "stages": [
                {"phase": phase, "stage": stage} | asdict(use)
                for (phase, stage), use in one.profile.stages.items()
            ],
        }
        for one in results
    ]
    path.write_text(json.dumps(content, indent=1) + "\n")


def load(path: Path) -> list[Result]:
    """Read the JSON of ``save``."""
    results = []
    for one in json.loads(path.read_text()):
        profile = Profile()
        profile.cpu = one["cpu"]
        for use in one["stages"]:
            key = use.pop("phase"), use.pop("stage")
            profile.stages[key] = Use(**use)
        arrivals = Arrivals(**one["arrivals"])
        results.append(Result(arrivals, profile, one["database_ms"], one["written"]))
    return results
