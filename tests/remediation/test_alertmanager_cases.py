"""Webhook bodies that were once handled wrongly (tests/contracts/cases)."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from remediation.alertmanager import parse
from tests.paths import CONTRACTS

CASES = {
    path.stem[:2]: json.loads(path.read_text())
    for path in sorted((CONTRACTS / "cases").glob("*.json"))
}


def read_case(number: str) -> tuple[Any, ...]:
    """Return the alerts of a case, all of them valid."""
    return parse(json.dumps(CASES[number]).encode()).alerts


@pytest.mark.parametrize(
    ("case", "expected"),
    [
        ("05", [("resolved", "a", None)]),
        ("13", [("firing", None, "1"), ("firing", None, "2"), ("firing", None, "3")]),
        ("15", [("firing", None, None)]),
    ],
)
def test_a_case_is_read(case, expected):
    alerts = read_case(case)

    assert [(a.status, a.labels.get("instance"), a.labels.get("i")) for a in alerts] == expected


def test_ends_at_does_not_change_a_firing_status():
    alerts = read_case("13")

    assert [alert.starts_at for alert in alerts] == [datetime(2026, 11, 28, 9, tzinfo=UTC)] * 3
    assert [alert.ends_at and alert.ends_at.year for alert in alerts] == [None, 2023, None]
    assert [len(alert.notes) for alert in alerts] == [0, 0, 1]


def test_a_number_as_label_value_becomes_a_string():
    (alert,) = read_case("14")

    assert alert.labels == {"alertname": "NumberLabel", "code": "500"}
