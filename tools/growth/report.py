"""The costs as a table and as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tools.growth.history import DATABASES
from tools.growth.measure import LIMIT, Cost

HEADS = ("operation", "ms small", "ms big", "ratio", "rows small", "rows big", "")


def table(costs: Sequence[Cost], about: dict[str, Any]) -> str:
    """Return a Markdown table and a summary."""
    rows = [HEADS, *(_cells(cost) for cost in costs)]
    widths = [max(len(row[i]) for row in rows) for i in range(len(HEADS))]
    lines = [
        "| "
        + " | ".join(
            _fit(cell, width, i) for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        + " |"
        for row in rows
    ]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    over = [cost for cost in costs if not cost.is_flat]
    small, big = (f"{about['rows'][database]:,}" for database in DATABASES)
    summary = (
        f"{len(over)} of {len(costs)} operations are over the limit of {LIMIT} times."
        if over
        else f"All {len(costs)} operations are within the limit of {LIMIT} times."
    )
    return "\n".join(
        [
            "",
            f"small: {small} rows a table, big: {big}; {about['database']};"
            f" {about['seconds']['fill']} s to fill, {about['seconds']['whole']} s in total",
            "",
            *lines,
            "",
            summary,
            "",
        ]
    )


def as_json(costs: Sequence[Cost], about: dict[str, Any]) -> dict[str, Any]:
    """Return all figures for the JSON file."""
    return about | {
        "operations": [
            {
                "group": cost.operation.group,
                "name": cost.operation.name,
                "ms": {name: round(cost.milliseconds(name), 3) for name in DATABASES},
                "rows_read": {name: cost.rows_read(name) for name in DATABASES},
                "ratio": round(cost.ratio, 3),
                "rows_ratio": round(cost.rows_ratio, 3),
                "is_flat": cost.is_flat,
            }
            for cost in costs
        ]
    }


def _cells(cost: Cost) -> tuple[str, ...]:
    return (
        f"{cost.operation.group}: {cost.operation.name}".replace("|", "/"),
        *(f"{cost.milliseconds(name):.1f}" for name in DATABASES),
        f"{cost.ratio:.2f}",
        *(str(cost.rows_read(name)) for name in DATABASES),
        "" if cost.is_flat else "OVER",
    )


def _fit(cell: str, width: int, place: int) -> str:
    return cell.ljust(width) if place == 0 else cell.rjust(width)
