"""The bench's report: percentiles, ratios, table and JSON."""

import json
import math
from typing import Any

import pytest

from tools.bench import report
from tools.bench.report import Figure, Percentiles, percentiles


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([7.0], (7, 7, 7)),
        ([2.0, 1.0], (1, 2, 2)),
        ([float(n) for n in range(1, 101)], (50, 95, 99)),
        ([float(n) for n in range(200, 0, -1)], (100, 190, 198)),
    ],
)
def test_percentiles_use_the_nearest_rank(values, expected):
    assert percentiles(values) == expected


def test_there_are_no_percentiles_without_values():
    assert percentiles([]) is None
    assert report.in_ms(None) is None


def test_seconds_become_milliseconds():
    assert report.in_ms(Percentiles(0.001, 0.02, 0.3)) == pytest.approx((1, 20, 300))


@pytest.mark.parametrize(
    ("figure", "ratio"),
    [
        (Figure("g", "a time", 30.0, 10.0), 3.0),
        (Figure("g", "a rate", 10.0, 30.0, is_rate=True), 3.0),
        (Figure("g", "times", Percentiles(2, 6, 12), Percentiles(1, 2, 3)), (2, 3, 4)),
        (Figure("g", "a count", 0.0), None),
        (Figure("g", "not measured", None, 1.0), None),
    ],
)
def test_a_ratio_is_how_many_times_worse_than_the_baseline(figure, ratio):
    assert figure.ratio == ratio


def test_a_baseline_of_zero_gives_no_ratio():
    ratios: list[Any] = [
        Figure("g", "n", 1.0, 0.0).ratio,
        Figure("g", "n", 0.0, 1.0, is_rate=True).ratio,
    ]

    assert all(math.isnan(ratio) for ratio in ratios)


def test_percentiles_need_a_baseline_of_percentiles():
    with pytest.raises(TypeError, match="need a baseline of percentiles"):
        Figure("g", "n", Percentiles(1, 2, 3), 1.0).ratio  # noqa: B018 - it raises


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (0.01234, "0.0123"),
        (1.0, "1.00"),
        (12.345, "12.3"),
        (1234.5, "1234"),
        (math.nan, "-"),
        (math.inf, "-"),
        (None, "-"),
        (Percentiles(1.5, 20, 300), "1.50/20.0/300"),
    ],
)
def test_a_value_is_written_with_three_digits(value, text):
    assert report.written(value) == text


FIGURES = {
    "sqlite": [
        Figure("intake", "accepted/s", 50.0, 100.0, is_rate=True),
        Figure("intake", "ack ms", Percentiles(1, 2, 3), Percentiles(1, 1, 1), samples=9),
        Figure("storm", "lost", 0),
    ],
    "mariadb": [
        Figure("intake", "accepted/s", 20.0, 100.0, is_rate=True),
        Figure("storm", "lost", None, note="too slow"),
        Figure("storm", "rows", 7.0, 1.0),
    ],
}


def test_the_table_has_a_row_a_figure_and_three_columns_a_database():
    assert report.table(FIGURES).splitlines() == [
        "                       sqlite        baseline            ratio      mariadb"
        "  baseline  ratio",
        "",
        "intake",
        "  accepted/s             50.0             100            2.00x         20.0"
        "       100  5.00x",
        "  ack ms       1.00/2.00/3.00  1.00/1.00/1.00  1.00/2.00/3.00x",
        "",
        "storm",
        "  lost                      0                                    (too slow)",
        "  rows                                                                 7.00"
        "      1.00  7.00x",
    ]


def test_the_json_has_all_figures_in_plain_numbers(tmp_path):
    path = tmp_path / "new" / "bench.json"

    report.save(path, report.as_json(FIGURES, about={"cores": 2}, notes=["a note"]))

    content = json.loads(path.read_text())
    assert (content["about"], content["notes"]) == ({"cores": 2}, ["a note"])
    assert len(content["figures"]) == 6
    assert content["figures"][1] == {
        "database": "sqlite",
        "group": "intake",
        "name": "ack ms",
        "value": {"p50": 1, "p95": 2, "p99": 3},
        "baseline": {"p50": 1, "p95": 1, "p99": 1},
        "ratio": {"p50": 1.0, "p95": 2.0, "p99": 3.0},
        "note": "",
        "samples": 9,
    }
    assert content["figures"][4]["value"] is None
    assert list(tmp_path.rglob("*.new")) == []
