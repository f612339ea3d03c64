"""The constants of the capacity model, taken from the bench's JSON."""

import json

import pytest

from tools.bench.costs import Measured, NotMeasured

ONE = "storm of 100 alerts, 1 step, by stream"
THREE = "storm of 100 alerts, 3 steps, by stream"
POLL = "storm of 100 alerts, 1 step, by poll"
IDLE = "nothing to do, with the stream"
FIGURES = [
    *(
        (ONE, name, value)
        for name, value in {
            "all started s": 4.0,
            "all known s": 5.0,
            "ack ms": {"p50": 7.0, "p95": 8.0, "p99": 9.0},
            "CPU ms an alert, launch": 5.0,
            "CPU ms an alert, follow": 1.0,
            "CPU ms an alert, stream": 3.0,
            "CPU ms an alert, local": -1.0,
            "CPU ms an alert, parents": 0.25,
            "CPU ms an alert, database": 4.0,
            "CPU ms an alert, load generator": 0.2,
            "CPU ms an alert, stub": 0.3,
            "KiB written an alert": 30.0,
            "flushes to disk an alert": 2.0,
            "rows written an alert": 33.0,
        }.items()
    ),
    *(
        (THREE, name, value)
        for name, value in {
            "all started s": 10.0,
            "all known s": 12.0,
            "CPU ms an alert, launch": 13.4,
            "CPU ms an alert, follow": 3.0,
            "CPU ms an alert, stream": 9.0,
            "CPU ms an alert, database": 9.0,
            "CPU ms an alert, stub": 0.9,
            "KiB written an alert": 60.0,
            "flushes to disk an alert": 4.0,
            "rows written an alert": 119.0,
        }.items()
    ),
    (POLL, "all known s", None),
    *(
        ("intake, 1 alert a body", f"{n} senders: CPU ms a call, web", ms)
        for n, ms in ((1, 9.0), (4, 7.0), (16, 6.0))
    ),
    ("intake, 20 alerts a body", "4 senders: CPU ms a call, web", 26.0),
    ("the disk alone", "flush ms", {"p50": 1.5, "p95": 3.0, "p99": 9.0}),
    (IDLE, "CPU ms a second, launch", 20.0),
    (IDLE, "CPU ms a second, database", 0.0),
]


def read(tmp_path, figures=FIGURES):
    about = {
        "at": "2026-11-28T00:00:00+00:00",
        "cores": 2,
        "databases": ["MariaDB 10.11"],
        "options": {"latency": "0.02", "duration": "0.2"},
        "processor": "a processor",
    }
    rows = [
        {"database": "mariadb", "group": group, "name": name, "value": value}
        for group, name, value in figures
    ]
    path = tmp_path / "bench.json"
    path.write_text(json.dumps({"about": about, "figures": rows}))
    return Measured.read(path)["mariadb"]


def test_each_cost_is_without_what_is_used_at_rest(tmp_path):
    costs = read(tmp_path).costs

    # 5 and 13.4 ms of an alert, less 20 ms of each second, for four executions.
    assert costs.launch == pytest.approx((5.0 - 1.0 + 13.4 - 2.4) / 4)
    assert costs.stream == pytest.approx(3.0)
    assert costs.follow_beside == pytest.approx(1.0)
    assert costs.others_alert == pytest.approx(0.25)
    assert costs.flush_ms == 1.5


def test_an_alert_and_its_executions_have_shares_of_their_own(tmp_path):
    costs = read(tmp_path).costs

    assert (costs.database_alert, costs.database_execution) == pytest.approx((1.5, 2.5))
    assert (costs.kib_alert, costs.kib_execution) == pytest.approx((15, 15))
    assert (costs.flushes_alert, costs.flushes_execution) == pytest.approx((1, 1))
    # A share is never below nothing, whatever the noise.
    assert (costs.rows_alert, costs.rows_execution) == pytest.approx((0, 33))


def test_a_webhook_call_and_each_alert_in_it_have_shares_of_their_own(tmp_path):
    costs = read(tmp_path).costs

    assert (costs.web_call, costs.web_alert) == pytest.approx((6.0, 1.0))
    assert costs.web(20) == pytest.approx(1.3)


def test_a_storm_that_was_not_over_is_left_out(tmp_path):
    measured = read(tmp_path)

    assert [(storm.steps, storm.mode) for storm in measured.storms] == [
        (1, "stream"),
        (3, "stream"),
    ]
    assert measured.storms[0].values["ack ms"] == 7.0
    # What follows by polls is then taken from what follows beside the stream.
    assert measured.costs.follow == pytest.approx(1.0)


def test_a_storm_that_is_needed_and_was_not_over_is_named(tmp_path):
    figures = [
        (group, name, None if (group, name) == (THREE, "all known s") else value)
        for group, name, value in FIGURES
    ]

    with pytest.raises(NotMeasured, match="both over"):
        read(tmp_path, figures)
