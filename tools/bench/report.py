"""Figures beside their floors: the arithmetic, the table for people, the JSON for programs."""

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple


class Percentiles(NamedTuple):
    """How the middle, the slow and the slowest fare."""

    p50: float
    p95: float
    p99: float


Value = float | Percentiles


def percentiles(values: Sequence[float]) -> Percentiles | None:
    """Return values that occurred, by nearest rank; None when there are none."""
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
    """One figure of one database. ``value``: None when it could not be had; ``note`` says why.

    ``floor``: what the least would be, None where there is no such thing. ``is_rate``: more is
    better; of all else less is. ``samples``: how many times it was taken, 0 for what is counted.
    """

    group: str
    name: str
    value: Value | None
    floor: Value | None = None
    is_rate: bool = False
    note: str = ""
    samples: int = 0

    @property
    def ratio(self) -> Value | None:
        """How many times worse than the floor it is; 1 is as good."""
        if self.value is None or self.floor is None:
            return None
        if isinstance(self.value, Percentiles) and isinstance(self.floor, Percentiles):
            pairs = zip(self.value, self.floor, strict=True)
            return Percentiles(*(self._times(*pair) for pair in pairs))
        if isinstance(self.value, Percentiles) or isinstance(self.floor, Percentiles):
            raise TypeError(f"{self.name}: percentiles stand beside percentiles only")
        return self._times(self.value, self.floor)

    def _times(self, value: float, floor: float) -> float:
        worse, better = (floor, value) if self.is_rate else (value, floor)
        return worse / better if better else math.nan


def written(value: Value | None, *, mark: str = "") -> str:
    """Return a value with about three digits, percentiles as p50/p95/p99."""
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
    """Return all figures, by database, as one table: a row for each, in the order of measuring."""
    groups: dict[str, dict[str, dict[str, Figure]]] = {}
    for database, measured in figures.items():
        for figure in measured:
            rows = groups.setdefault(figure.group, {})
            rows.setdefault(figure.name, {})[database] = figure
    lines: list[list[str]] = [["", *(word for one in figures for word in (one, "floor", "times"))]]
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
    if figure.floor is None:
        return [value, "", ""]
    return [value, written(figure.floor), written(figure.ratio, mark="x")]


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
        # Three columns belong together, so what is between databases is wider.
        gaps = ["   " if number % 3 == 0 else "  " for number in range(len(rest))]
        cells = (gap + cell.rjust(width) for gap, (cell, width) in zip(gaps, rest, strict=True))
        yield (first[0].ljust(first[1]) + "".join(cells)).rstrip()


def as_json(
    figures: dict[str, list[Figure]], *, about: dict[str, Any], notes: Sequence[str]
) -> dict[str, Any]:
    """Return all of it for a program."""
    return {
        "about": about,
        "notes": list(notes),
        "figures": [
            {
                "database": database,
                "group": figure.group,
                "name": figure.name,
                "value": _plain(figure.value),
                "floor": _plain(figure.floor),
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
    """Write JSON to a file; what is there is replaced when the new one is whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    made = path.with_name(f".{path.name}.new")
    made.write_text(json.dumps(content, indent=1) + "\n")
    made.replace(path)
