"""Figures and their baselines: percentiles, ratios, the table and the JSON."""

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple


class Percentiles(NamedTuple):
    """The 50th, 95th and 99th percentile."""

    p50: float
    p95: float
    p99: float


Value = float | Percentiles


def percentiles(values: Sequence[float]) -> Percentiles | None:
    """Return the percentiles by nearest rank, None without values."""
    if not values:
        return None
    ordered = sorted(values)
    ranks = (max(1, math.ceil(len(ordered) * share / 100)) for share in (50, 95, 99))
    return Percentiles(*(ordered[rank - 1] for rank in ranks))


def in_ms(seconds: Percentiles | None) -> Percentiles | None:
    """Return seconds as milliseconds."""
    return Percentiles(*(one * 1_000 for one in seconds)) if seconds else None


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure of one database. ``value``: None when it was not measured; ``note`` says why.

    ``baseline``: the least possible, None without one. ``is_rate``: higher is better; otherwise
    lower is. ``samples``: number of samples, 0 for a count.
    """

    group: str
    name: str
    value: Value | None
    baseline: Value | None = None
    is_rate: bool = False
    note: str = ""
    samples: int = 0

    @property
    def ratio(self) -> Value | None:
        """How many times worse than the baseline the value is."""
        if self.value is None or self.baseline is None:
            return None
        if isinstance(self.value, Percentiles) and isinstance(self.baseline, Percentiles):
            pairs = zip(self.value, self.baseline, strict=True)
            return Percentiles(*(self._times(*pair) for pair in pairs))
        if isinstance(self.value, Percentiles) or isinstance(self.baseline, Percentiles):
            raise TypeError(f"{self.name}: percentiles need a baseline of percentiles")
        return self._times(self.value, self.baseline)

    def _times(self, value: float, baseline: float) -> float:
        worse, better = (baseline, value) if self.is_rate else (value, baseline)
        return worse / better if better else math.nan


def written(value: Value | None, *, mark: str = "") -> str:
    """Return a value with three digits, percentiles as p50/p95/p99."""
    if value is None:
        return "-"
    if isinstance(value, Percentiles):
        return "/".join(_digits(one) for one in value) + mark
    return _digits(value) + mark


def _digits(value: float) -> str:
    if not math.isfinite(value):
        return "-"
    return f"{value:.0f}" if value == 0 or abs(value) >= 100 else f"{value:#.3g}"


def table(figures: dict[str, list[Figure]]) -> str:
    """Return a table with a row for each figure and three columns for each database."""
    groups: dict[str, dict[str, dict[str, Figure]]] = {}
    for database, measured in figures.items():
        for figure in measured:
            rows = groups.setdefault(figure.group, {})
            rows.setdefault(figure.name, {})[database] = figure
    lines: list[list[str]] = [
        ["", *(head for one in figures for head in (one, "baseline", "ratio"))]
    ]
    for group, rows in groups.items():
        lines.append([group])
        for name, by_database in rows.items():
            cells = [_cells(by_database.get(database)) for database in figures]
            lines.append([f"  {name}", *(cell for three in cells for cell in three)])
    return "\n".join(_aligned(lines))


def _cells(figure: Figure | None) -> list[str]:
    if figure is None:
        return ["", "", ""]
    value = f"({figure.note})" if figure.value is None and figure.note else written(figure.value)
    if figure.baseline is None:
        return [value, "", ""]
    return [value, written(figure.baseline), written(figure.ratio, mark="x")]


def _aligned(lines: list[list[str]]) -> Iterable[str]:
    columns = max(map(len, lines))
    widths = [
        max((len(line[column]) for line in lines if len(line) == columns), default=0)
        for column in range(columns)
    ]
    for line in lines:
        if len(line) == 1:
            yield ""
            yield line[0]
            continue
        first, *rest = zip(line, widths, strict=True)
        # A wider gap separates the databases.
        gaps = ["   " if number % 3 == 0 else "  " for number in range(len(rest))]
        cells = (gap + cell.rjust(width) for gap, (cell, width) in zip(gaps, rest, strict=True))
        yield (first[0].ljust(first[1]) + "".join(cells)).rstrip()


def as_json(
    figures: dict[str, list[Figure]], *, about: dict[str, Any], notes: Sequence[str]
) -> dict[str, Any]:
    """Return all figures as JSON."""
    return {
        "about": about,
        "notes": list(notes),
        "figures": [
            {
                "database": database,
                "group": figure.group,
                "name": figure.name,
                "value": _plain(figure.value),
                "baseline": _plain(figure.baseline),
                "ratio": _plain(figure.ratio),
                "note": figure.note,
                "samples": figure.samples,
            }
            for database, measured in figures.items()
            for figure in measured
        ],
    }


def _plain(value: Value | None) -> Any:
    if isinstance(value, Percentiles):
        return {name: _finite(one) for name, one in value._asdict().items()}
    return None if value is None else _finite(value)


def _finite(value: float) -> float | None:
    return round(value, 6) if math.isfinite(value) else None


def save(path: Path, content: dict[str, Any]) -> None:
    """Write JSON to a file, replacing an old one at the end."""
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(f".{path.name}.new")
    new.write_text(json.dumps(content, indent=1) + "\n")
    new.replace(path)
