"""Rows that are inserted together are stored as Django stores them."""

from __future__ import annotations

import datetime
from collections.abc import Collection
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from remediation.models import ActionExecution, Alert, BucketRun, RejectedAlert, inserts
from remediation.models.inserts import insert
from tests.factories import make_alert, make_run, make_step

pytestmark = pytest.mark.django_db

TIMES = [
    datetime.datetime(2026, 11, 23, 5, 46, 6, 123456, tzinfo=datetime.UTC),
    datetime.datetime(2026, 11, 23, 5, 46, 6, tzinfo=datetime.UTC),
    datetime.datetime(
        2026, 11, 23, 6, 46, 6, tzinfo=datetime.timezone(datetime.timedelta(hours=1))
    ),
]
TEXTS = ["", 'it\'s 100 % "quoted" \\ and `ticked`', "Größe 東京 🔥 \x01\t\n", "x" * 255]
VALUES: list[Any] = [
    {},
    {"a": ["b", None, 1.5, True, "'; DROP TABLE alerts; --", "%s", "🔥\\"]},
    {"deep": {"deeper": {"deepest": []}}},
]


def columns(row: Any, *, without: Collection[str] = ()) -> dict[str, Any]:
    left_out = {"id", *without}
    return {
        field.attname: getattr(row, field.attname)
        for field in row._meta.concrete_fields
        if field.attname not in left_out
    }


def alert(number: int, **values: Any) -> Alert:
    row = make_alert()
    new = Alert(**columns(row, without={"active_fingerprint"}) | values)
    new.active_fingerprint = f"{number:016x}" if number % 2 else None
    return new


@pytest.mark.parametrize("count", [1, 12])
def test_rows_are_stored_as_django_stores_them(count: int) -> None:
    made = [
        alert(
            number,
            alert_name=TEXTS[number % 4],
            labels=VALUES[number % 3],
            starts_at=TIMES[number % 3],
            ends_at=TIMES[number % 2] if number % 5 else None,
            status=Alert.Status.RESOLVED if number % 2 else "firing",
            occurrences=number + 1,
        )
        for number in range(count)
    ]
    twins = [Alert(**columns(row, without={"active_fingerprint"})) for row in made]

    insert(made)
    Alert.objects.bulk_create(twins)

    for row, twin in zip(made, twins, strict=True):
        stored, expected = Alert.objects.get(pk=row.pk), Alert.objects.get(pk=twin.pk)
        left_out = {"active_fingerprint"}
        assert columns(stored, without=left_out) == columns(expected, without=left_out)
        assert stored.active_fingerprint == row.active_fingerprint
        assert not row._state.adding


def test_a_related_row_may_be_inserted_after_it_was_assigned() -> None:
    step, alert = make_step(), make_alert()
    source = make_run(step.bucket, alert)
    run = BucketRun(**columns(source, without={"number"}) | {"number": 7})
    execution = ActionExecution.of_step(run, source.plan.steps[0], at=source.created_at, priority=1)

    insert([run])
    insert([execution])

    stored = ActionExecution.objects.get(pk=execution.pk)
    assert stored.run_id == run.pk == execution.run_id


@pytest.mark.parametrize(
    ("limit", "value", "statements"),
    [("ROWS_MAX", 4, 3), ("VALUES_MAX", 50, 2), ("CHARACTERS_MAX", 700, 5)],
)
def test_statements_are_limited(
    limit: str, value: int, statements: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inserts, limit, value)
    rows = [
        RejectedAlert(
            request_id="r", received_at=TIMES[0], place=number, reason="x" * 300, total=number
        )
        for number in range(10)
    ]

    with CaptureQueriesContext(
        connection,
    ) as queries:
        insert(rows)

    assert len(queries) == statements
    assert [RejectedAlert.objects.get(pk=row.pk).place for row in rows] == list(range(10))


def test_nothing_is_inserted_for_no_rows() -> None:
    with CaptureQueriesContext(connection) as queries:
        insert([])

    assert len(queries) == 0
