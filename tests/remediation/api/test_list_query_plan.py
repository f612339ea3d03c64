"""How list rows are found: by an index, or by a bounded scan."""

from __future__ import annotations

import datetime
from typing import Any

import pytest
from django.http import QueryDict
from django.test import Client
from django.utils import timezone

from audit.api.views import RequestViewSet
from remediation.api import filters, history_views, related_filters
from remediation.api.list_query_plan import ListQueryPlan, plan_list_query
from remediation.models import Alert, keyset_pagination
from tests import factories
from tests.remediation.api.test_pagination import follow

pytestmark = pytest.mark.django_db

API = "/api/v1"
THEN = "created_since=2026-01-01T00:00:00Z"


@pytest.fixture
def reader() -> Client:
    return factories.make_client("read")


def make_plan(view: Any, query: str) -> ListQueryPlan:
    plan = plan_list_query(view, QueryDict(query))
    assert plan
    return plan


@pytest.mark.parametrize(
    ("view", "query", "ordering"),
    [
        (history_views.AlertViewSet, "", "-id"),
        (history_views.AlertViewSet, "status=firing", "-id"),
        (history_views.AlertViewSet, "alert_name=HostDown", "-id"),
        (history_views.AlertViewSet, "request_id=1&severity=page", "-id"),
        (history_views.AlertViewSet, THEN, "-created_at"),
        (history_views.RunViewSet, "bucket=1", "-id"),
        (history_views.RunViewSet, "alert=1&actor=ada", "-id"),
        (history_views.RunViewSet, "alert_name=HostDown&trigger=manual", "-id"),
        (history_views.RunViewSet, "target=web-01", "-id"),
        (history_views.RunViewSet, "action_name=restart", "-id"),
        (history_views.AlertViewSet, "target=web-01", "-id"),
        (history_views.AlertViewSet, "action_name=restart", "-id"),
        (history_views.ExecutionViewSet, "target=web-01", "-id"),
        (history_views.ExecutionViewSet, "alert_name=HostDown", "-id"),
        (history_views.ExecutionViewSet, "action_name=restart", "-id"),
        (history_views.ExecutionViewSet, "status=failure", "-created_at"),
        (history_views.ExecutionViewSet, f"status=failure&{THEN}", "-created_at"),
        (history_views.ExecutionViewSet, "run=1&step_order=2", "-id"),
        (history_views.ExecutionViewSet, "run=1&status=failure", "-id"),
        (history_views.TransitionViewSet, "subject_type=run&subject_id=1", "-id"),
        (history_views.TransitionViewSet, "at_before=2026-01-01T00:00:00Z", "-at"),
        (RequestViewSet, "client_request_id=1", "-id"),
    ],
)
def test_an_index_serves_the_filters(view: Any, query: str, ordering: str) -> None:
    plan = make_plan(view, query)

    assert plan.default_ordering == ordering
    assert plan.scan_queryset(ordering, view.queryset) is None


@pytest.mark.parametrize(
    ("view", "query", "ordering"),
    [
        (history_views.AlertViewSet, "severity=page", "-id"),
        (history_views.AlertViewSet, "status=firing&severity=page", "-id"),
        (history_views.AlertViewSet, "status=firing&status=resolved", "-id"),
        (history_views.AlertViewSet, "status=firing", "-created_at"),
        (history_views.AlertViewSet, f"severity=page&{THEN}", "-created_at"),
        (history_views.AlertViewSet, THEN, "-id"),
        (history_views.ExecutionViewSet, "attempt=2", "-id"),
        (history_views.ExecutionViewSet, "status=failure&status=timeout", "-created_at"),
        (history_views.ExecutionViewSet, "bucket=1", "-created_at"),
        (history_views.ExecutionViewSet, "completed_since=2026-01-01T00:00:00Z", "-id"),
        (history_views.TransitionViewSet, "actor=ada", "-id"),
        (RequestViewSet, "actor=ada", "-id"),
    ],
)
def test_other_filters_need_a_scan(view: Any, query: str, ordering: str) -> None:
    plan = make_plan(view, query)

    assert plan.scan_queryset(ordering, view.queryset) is not None


def test_a_scan_is_limited_to_the_requested_time(reader: Client) -> None:
    old, new = (factories.make_alert(created_at=at) for at in (moment(1), moment(9)))

    plan = make_plan(
        history_views.AlertViewSet, f"severity=page&created_before={moment(5):%Y-%m-%d}"
    )

    rows = plan.scan_queryset("-created_at", Alert.objects.all())
    assert rows is not None
    assert [row.pk for row in rows] == [old.pk] != [new.pk]


def moment(day: int) -> datetime.datetime:
    return datetime.datetime(2026, 1, day, tzinfo=datetime.UTC)


def test_a_fingerprint_with_many_episodes_needs_a_scan(monkeypatch: pytest.MonkeyPatch) -> None:
    run = factories.make_run()
    query = f"fingerprint={run.alert.fingerprint}"
    runs = history_views.RunViewSet.queryset

    assert make_plan(history_views.RunViewSet, query).scan_queryset("-id", runs) is None
    monkeypatch.setattr(related_filters, "RELATED_MAX", 0)
    assert make_plan(history_views.RunViewSet, query).scan_queryset("-id", runs) is not None


def test_short_lists_have_no_plan() -> None:
    class Definitions:
        filterset_class = filters.ActionFilter

    assert plan_list_query(Definitions, QueryDict("name=x")) is None


@pytest.mark.parametrize("query", ["severity=rare", f"severity=rare&{THEN}"])
def test_following_next_finds_rare_rows(
    reader: Client, monkeypatch: pytest.MonkeyPatch, query: str
) -> None:
    for name in ("SCANNED_FIRST", "SCANNED_MAX"):
        monkeypatch.setattr(keyset_pagination, name, 3)
    rare = factories.make_alert(severity="rare")
    for _ in range(10):
        factories.make_alert()

    found = follow(reader, f"{API}/alerts/?{query}", "next")

    assert len(found) > 2
    assert [pk for page in found for pk in page] == [rare.pk]


def test_a_time_filter_orders_by_time(reader: Client) -> None:
    now = timezone.now()
    rows = [
        factories.make_alert(created_at=now - datetime.timedelta(minutes=minutes)).pk
        for minutes in (5, 9, 1)
    ]

    found = follow(reader, f"{API}/alerts/?{THEN}&page_size=2", "next")

    assert found == [[rows[2], rows[0]], [rows[1]]]


@pytest.mark.parametrize("ordering", ["step_order", "-step_order"])
def test_an_ordering_without_index_needs_a_selective_filter(reader: Client, ordering: str) -> None:
    execution = factories.make_execution()
    url = f"{API}/executions/?ordering={ordering}"

    rejected = reader.get(f"{url}&status=pending")
    response = reader.get(f"{url}&run={execution.run_id}")

    assert rejected.status_code == 400
    assert "request_id" in rejected.json()["error"]["fields"]["ordering"][0]
    assert [row["id"] for row in response.json()["results"]] == [execution.pk]
