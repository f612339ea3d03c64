"""How the rows of a list are found: by an index, or by looking some way at a time."""

from __future__ import annotations

import datetime

import pytest
from django.http import QueryDict
from django.test import Client
from django.utils import timezone

from audit.api.views import RequestViewSet
from remediation.api import filters, history
from remediation.api.filters import Way
from remediation.models import Alert, pages
from tests import factories
from tests.remediation.api.test_pagination import follow

pytestmark = pytest.mark.django_db

API = "/api/v1"
THEN = "created_since=2026-01-01T00:00:00Z"


@pytest.fixture
def reader() -> Client:
    return factories.make_client("read")


def way(view: type, query: str) -> Way:
    found = filters.way_of(view, QueryDict(query))
    assert found
    return found


@pytest.mark.parametrize(
    ("view", "query", "ordering"),
    [
        (history.AlertViewSet, "", "-id"),
        (history.AlertViewSet, "status=firing", "-id"),
        (history.AlertViewSet, "alert_name=HostDown", "-id"),
        (history.AlertViewSet, "request_id=1&severity=page", "-id"),
        (history.AlertViewSet, THEN, "-created_at"),
        (history.RunViewSet, "bucket=1", "-id"),
        (history.RunViewSet, "alert=1&actor=ada", "-id"),
        (history.ExecutionViewSet, "status=failure", "-created_at"),
        (history.ExecutionViewSet, f"status=failure&{THEN}", "-created_at"),
        (history.ExecutionViewSet, "run=1&step_order=2", "-id"),
        (history.ExecutionViewSet, "run=1&status=failure", "-id"),
        (history.TransitionViewSet, "subject_type=run&subject_id=1", "-id"),
        (history.TransitionViewSet, "at_before=2026-01-01T00:00:00Z", "-at"),
        (RequestViewSet, "client_request_id=1", "-id"),
    ],
)
def test_an_index_finds_them(view: type, query: str, ordering: str) -> None:
    found = way(view, query)

    assert found.newest_first == ordering
    assert found.walked(ordering, view.queryset) is None  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("view", "query", "ordering"),
    [
        (history.AlertViewSet, "severity=page", "-id"),
        (history.AlertViewSet, "status=firing&severity=page", "-id"),
        (history.AlertViewSet, "status=firing&status=resolved", "-id"),
        (history.AlertViewSet, "status=firing", "-created_at"),
        (history.AlertViewSet, f"severity=page&{THEN}", "-created_at"),
        (history.AlertViewSet, THEN, "-id"),
        (history.ExecutionViewSet, "attempt=2", "-id"),
        (history.ExecutionViewSet, "status=failure&status=timeout", "-created_at"),
        (history.ExecutionViewSet, "bucket=1", "-created_at"),
        (history.ExecutionViewSet, "completed_since=2026-01-01T00:00:00Z", "-id"),
        (history.TransitionViewSet, "actor=ada", "-id"),
        (RequestViewSet, "actor=ada", "-id"),
    ],
)
def test_they_have_to_be_looked_for(view: type, query: str, ordering: str) -> None:
    walked = way(view, query).walked(ordering, view.queryset)  # type: ignore[attr-defined]

    assert walked is not None


def test_those_of_a_time_are_looked_for_in_that_time(reader: Client) -> None:
    old, new = (factories.make_alert(created_at=at) for at in (moment(1), moment(9)))

    walked = way(history.AlertViewSet, f"severity=page&created_before={moment(5):%Y-%m-%d}")

    rows = walked.walked("-created_at", Alert.objects.all())
    assert rows is not None
    assert [row.pk for row in rows] == [old.pk] != [new.pk]


def moment(day: int) -> datetime.datetime:
    return datetime.datetime(2026, 1, day, tzinfo=datetime.UTC)


def test_a_fingerprint_with_many_episodes_is_looked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    run = factories.make_run()
    query = f"fingerprint={run.alert.fingerprint}"
    runs = history.RunViewSet.queryset

    assert way(history.RunViewSet, query).walked("-id", runs) is None
    monkeypatch.setattr(filters, "EPISODES_FEW", 0)
    assert way(history.RunViewSet, query).walked("-id", runs) is not None


def test_short_lists_are_not_looked_through() -> None:
    class Definitions:
        filterset_class = filters.ActionFilter

    assert filters.way_of(Definitions, QueryDict("name=x")) is None


@pytest.mark.parametrize("query", ["severity=rare", f"severity=rare&{THEN}"])
def test_rare_rows_are_found_by_following_next(
    reader: Client, monkeypatch: pytest.MonkeyPatch, query: str
) -> None:
    for name in ("SEARCHED_FIRST", "SEARCHED_MAX"):
        monkeypatch.setattr(pages, name, 3)
    rare = factories.make_alert(severity="rare")
    for _ in range(10):
        factories.make_alert()

    found = follow(reader, f"{API}/alerts/?{query}", "next")

    assert len(found) > 2
    assert [pk for page in found for pk in page] == [rare.pk]


def test_a_time_orders_by_time(reader: Client) -> None:
    now = timezone.now()
    rows = [
        factories.make_alert(created_at=now - datetime.timedelta(minutes=minutes)).pk
        for minutes in (5, 9, 1)
    ]

    found = follow(reader, f"{API}/alerts/?{THEN}&page_size=2", "next")

    assert found == [[rows[2], rows[0]], [rows[1]]]


@pytest.mark.parametrize("ordering", ["step_order", "-step_order"])
def test_what_no_index_orders_has_to_be_few(reader: Client, ordering: str) -> None:
    execution = factories.make_execution()
    url = f"{API}/executions/?ordering={ordering}"

    refused = reader.get(f"{url}&status=pending")
    answer = reader.get(f"{url}&run={execution.run_id}")

    assert refused.status_code == 400
    assert "request_id" in refused.json()["error"]["fields"]["ordering"][0]
    assert [row["id"] for row in answer.json()["results"]] == [execution.pk]
