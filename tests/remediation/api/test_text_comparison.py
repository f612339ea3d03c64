"""Text is compared exactly, on SQLite and on MariaDB."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from remediation.models import Action, Alert, BucketRun, Cause
from tests import factories
from tests.remediation.admin.forms import page

pytestmark = [pytest.mark.django_db, pytest.mark.slow]


@pytest.fixture
def reader() -> Client:
    return factories.make_client("read")


def rows(client: Client, endpoint: str, /, **query: str) -> list[Any]:
    response = client.get(f"/api/v1/{endpoint}/", query)
    assert response.status_code == 200, response.content
    results: list[Any] = response.json()["results"]
    return results


LABELS = {"alertname": "CaseTest", "severity": "Critical", "instance": "Web-É:9100"}


@pytest.mark.parametrize(
    ("name", "same", "others"),
    [
        ("alert_name", "CaseTest", ["casetest", "CASETEST", "CaseTest ", " CaseTest", "CaseTést"]),
        ("severity", "Critical", ["critical", "Critical ", "Critícal"]),
        ("instance", "Web-É:9100", ["web-É:9100", "Web-E:9100", "Web-é:9100"]),
        ("receiver", "Ops", ["ops", "OPS", "Ops "]),
    ],
)
def test_alert_filters_compare_exactly(
    reader: Client, name: str, same: str, others: list[str]
) -> None:
    factories.make_alert(labels=LABELS, receiver="Ops")

    assert len(rows(reader, "alerts", **{name: same})) == 1
    assert [rows(reader, "alerts", **{name: other}) for other in others] == [[] for _ in others]


def test_trailing_spaces_are_significant(reader: Client) -> None:
    factories.make_alert(labels=LABELS | {"alertname": "CaseTest "})

    assert rows(reader, "alerts", alert_name="CaseTest") == []
    assert len(rows(reader, "alerts", alert_name="CaseTest ")) == 1


@pytest.mark.parametrize(
    ("endpoint", "name", "same", "other"),
    [
        ("actions", "name", "restart", "RESTART"),
        ("actions", "name", "restart", "restart "),
        ("actions", "st2_action_ref", "linux.service", "Linux.service"),
        ("actions", "st2_pack", "linux", "LINUX"),
        ("actions", "action_type", "stackstorm", "StackStorm"),
        ("buckets", "name", "Disk", "disk"),
        ("runs", "actor", "anna", "ANNA"),
        ("executions", "st2_action_execution_status", "succeeded", "Succeeded"),
        ("transitions", "to_status", "running", "RUNNING"),
        ("transitions", "actor", "system", "System"),
        ("requests", "method", "GET", "get"),
        ("requests", "path", "/api/v1/alerts/", "/API/v1/alerts/"),
        ("requests", "client_request_id", "mine", "MINE"),
    ],
)
def test_other_filters_compare_exactly(
    reader: Client, endpoint: str, name: str, same: str, other: str
) -> None:
    action = factories.make_action(name="restart", st2_action_ref="linux.service", st2_pack="linux")
    bucket = factories.make_step(factories.make_bucket(name="Disk"), action).bucket
    run = factories.make_run(bucket, actor="anna")
    factories.make_execution(run, st2_action_execution_status="succeeded")
    BucketRun.objects.get(pk=run.pk).mark_running(cause=Cause())
    reader.get("/api/v1/alerts/", headers={"X-Request-ID": "mine"})

    assert len(rows(reader, endpoint, **{name: same})) == 1
    assert rows(reader, endpoint, **{name: other}) == []


def test_names_are_case_sensitive() -> None:
    client = factories.make_client("edit")

    def create(name: str) -> int:
        body = {"name": name, "st2_action_ref": "core.local"}
        response = client.post(
            "/api/v1/actions/", json.dumps(body), content_type="application/json"
        )
        return response.status_code

    assert [create("AbC"), create("abc"), create("abç"), create("abc"), create("abc ")] == [
        201, 201, 201, 400, 400,
    ]  # fmt: skip
    assert list(Action.objects.order_by("name").values_list("name", flat=True)) == [
        "AbC",
        "abc",
        "abç",
    ]


def test_names_with_trailing_spaces_written_by_sql_are_distinct() -> None:
    factories.make_action(name="abc")
    factories.make_action(name="abc ")
    factories.make_bucket(name="B")
    factories.make_bucket(name="b")

    assert Action.objects.get(name="abc ").name == "abc "


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Case", ["CaseTest"]),
        ("cASETEST", ["CaseTest"]),
        ("c", ["CaseTest"]),
        ("ase", []),
        ("CaseTests", []),
        ("Cáse", []),
        ("Case%", []),
        ("Case.", []),
        ("C_se", []),
        ("web-é", ["CaseTest"]),
        ("Web-E", []),
        ("Other", ["Other\U0001f600"]),
        ("50% (", ["50% (ß)"]),
    ],
)
def test_alert_search_is_by_prefix_and_case_insensitive(text: str, found: list[str]) -> None:
    factories.make_alert(labels={"alertname": "50% (ß)"})
    factories.make_alert(labels=LABELS)
    factories.make_alert(labels={"alertname": "Other\U0001f600"})

    names = Alert.objects.filter(alert_name__begins=text).values_list("alert_name", flat=True)
    hosts = Alert.objects.filter(instance__begins=text).values_list("alert_name", flat=True)

    assert [*names, *hosts] == found


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("RESTART", True),
        ("étoile", True),
        ("ÉTOILE", True),
        ("etoile", False),
        ("50% (max)", True),
        ("50_ (max)", False),
        ("it's", True),
        ("[a.c]", True),
        ("abc", False),
        ("line2", True),
    ],
)
def test_definition_search_is_case_insensitive(text: str, found: bool) -> None:
    factories.make_action(name="Restart", description="Étoile 50% (max) it's [a.c]\nline2")
    client = Client()
    client.force_login(User.objects.create_superuser("root"))

    response = client.get(page(Action, "changelist"), {"q": f'"{text}"' if " " in text else text})

    assert [row.name for row in response.context["cl"].result_list] == ["Restart"] * found


def test_admin_filters_compare_exactly() -> None:
    factories.make_action(name="restart", st2_pack="Linux")
    client = Client()
    client.force_login(User.objects.create_superuser("root"))

    counts = [
        client.get(page(Action, "changelist"), {"st2_pack__exact": pack}).context["cl"].result_count
        for pack in ("Linux", "linux")
    ]

    assert counts == [1, 0]
