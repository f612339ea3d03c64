"""Lists are filtered by alert name, action name and target."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection  # noqa: F401 - the condition of skipif

from remediation.api import related_filters
from tests import factories

pytestmark = pytest.mark.django_db

API = "/api/v1"


def ids(path: str, **query: str) -> list[int]:
    """Return the ids of a list, of all pages."""
    client = factories.make_client("read")
    url: str | None = f"{API}/{path}/"
    found: list[int] = []
    while url:
        page = client.get(url, query if not found else None).json()
        found += [row["id"] for row in page["results"]]
        url = page["next"]
    return found


def make_story(name: str, instance: str, action_name: str) -> dict[str, int]:
    """Return the ids of an alert with its run and its execution, by list."""
    labels = {"alertname": name, "instance": instance}
    action = factories.make_action(name=action_name)
    bucket = factories.make_step(action=action).bucket
    run = factories.make_run(bucket, factories.make_alert(labels))
    execution = factories.make_execution(run)
    step = bucket.steps.get()
    return {"alerts": run.alert_id, "runs": run.pk, "executions": execution.pk, "steps": step.pk}


@pytest.fixture(params=[1_000, 0], ids=["by index", "by scan"])
def limit(request: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """List few related rows by their ids, and many by a scan: with the same result."""
    monkeypatch.setattr(related_filters, "RELATED_MAX", request.param)


@pytest.mark.parametrize(
    ("path", "name", "value"),
    [
        *((path, "alert_name", "HostDown") for path in ("alerts", "runs", "executions")),
        *((path, "target", "web-01") for path in ("alerts", "runs", "executions")),
        *((path, "action_name", "restart") for path in ("alerts", "runs", "executions", "steps")),
    ],
)
def test_a_list_is_filtered(limit: None, path: str, name: str, value: str) -> None:
    wanted = make_story("HostDown", "web-01:9100", "restart")
    make_story("DiskFull", "web-02:9100", "cleanup")

    assert ids(path, **{name: value}) == [wanted[path]]
    assert ids(path, **{name: value.upper()}) == []
    assert ids(path, **{name: "unknown"}) == []


@pytest.mark.parametrize(
    ("target", "matching"),
    [
        (
            "web-01",
            {
                "web-01",
                "web-01:9100",
                "web-01/path",
                "http://web-01/health",
                "https://web-01:8443/health",
                "https://web-01",
            },
        ),
        ("web-0", set()),
        ("::1", {"::1", "[::1]:9100", "http://[::1]:80/"}),
        ("WEB-01", {"WEB-01:9100"}),
        ("%", set()),
    ],
)
def test_a_target_is_the_host_of_the_instance(limit: None, target: str, matching: set[str]) -> None:
    instances = {
        "web-01",
        "web-01:9100",
        "web-01/path",
        "http://web-01/health",
        "https://web-01:8443/health",
        "https://web-01",
        "web-010:9100",
        "web-01.example.com:9100",
        "xweb-01:9100",
        "WEB-01:9100",
        "::1",
        "[::1]:9100",
        "http://[::1]:80/",
        "[::12]:9100",
        "",
    }
    alerts = {
        factories.make_alert({"alertname": "A", "instance": instance}).pk: instance
        for instance in instances
    }

    assert {alerts[pk] for pk in ids("alerts", target=target)} == matching


def test_filters_are_combined(limit: None) -> None:
    wanted = make_story("HostDown", "web-01:9100", "restart")
    make_story("HostDown", "web-02:9100", "restart2")
    make_story("DiskFull", "web-01:9100", "restart3")

    query = {"alert_name": "HostDown", "target": "web-01", "action_name": "restart"}

    for path in ("alerts", "runs", "executions"):
        assert ids(path, **query) == [wanted[path]]


@pytest.mark.skipif("connection.vendor != 'mysql'", reason="EXPLAIN is for MariaDB")
@pytest.mark.parametrize(
    ("rows", "index"),
    [
        (related_filters.alerts_named("HostDown"), "alert_name"),
        (related_filters.alerts_of_target("web-01"), "alert_instance"),
    ],
    ids=["alert_name", "target"],
)
def test_related_rows_are_found_by_an_index(rows: Any, index: str) -> None:
    for number in range(300):
        factories.make_alert({"alertname": f"A{number}", "instance": f"h{number}:9100"})

    plan = rows.order_by().values_list("pk", flat=True).explain()

    assert index in plan
