"""API of history: the queries of seed.md, filters, and rejected requests."""

from __future__ import annotations

import datetime
import re
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.utils import timezone

from remediation.models import ActionExecution, Cause, Transition
from tests import factories

pytestmark = [pytest.mark.django_db, pytest.mark.slow]

SEED = Path("tests/contracts/seed.md").read_text()
API = "/api/v1"


@pytest.fixture
def reader() -> Client:
    return factories.make_client("read")


def results(client: Client, path: str) -> list[dict[str, Any]]:
    response = client.get(f"{API}/{path}")
    assert response.status_code == 200, response.content
    rows: list[dict[str, Any]] = response.json()["results"]
    return rows


def run_seed_query(heading: str) -> list[dict[str, Any]]:
    """Run the SQL below a heading of seed.md and return its rows as dicts."""
    statement = re.search(rf"### {heading}\n+```sql\n(.*?)```", SEED, re.DOTALL)
    assert statement
    with connection.cursor() as cursor:
        cursor.execute(statement[1])
        names = [column[0] for column in cursor.description]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def make_seed_run() -> None:
    """Create a run of three steps with the request id of seed.md, and other executions."""
    bucket = factories.make_bucket()
    for name in ("network_ping", "linux_service", "log"):
        factories.make_step(bucket, factories.make_action(name=name))
    run = factories.make_run(bucket, factories.make_alert(request_id="abc-123"))
    for order, step in reversed(list(enumerate(run.plan.steps, start=1))):
        factories.make_execution(
            run,
            step_order=order,
            action_id=step["action"]["id"],
            executed_via_stackstorm=order != 3,
            status=["success", "failure", "failure"][order - 1],
            st2_execution_id=["5f9e8a7b6c5d4e3f2a1b0c9d", "b", None][order - 1],
            st2_action_execution_status="succeeded" if order == 1 else "failed",
            error_message="exit 1",
        )
    for number in range(12):
        factories.make_execution(status="failure", st2_execution_id=f"other-{number}")
    factories.make_execution(status="success")


def test_the_first_query_of_the_seed_is_a_url(reader: Client) -> None:
    make_seed_run()

    found = results(
        reader, "executions/?executed_via_stackstorm=true&request_id=abc-123&ordering=step_order"
    )

    names = ["request_id", "step_order", "action_name", "st2_action_ref", "st2_execution_id"]
    names += ["st2_action_execution_status", "status"]
    expected = run_seed_query("Get StackStorm Execution Details")
    assert len(expected) == 2
    assert _only(names, found) == _only(names, expected)


def test_the_second_query_of_the_seed_is_a_url(reader: Client) -> None:
    make_seed_run()

    found = results(
        reader,
        "executions/?executed_via_stackstorm=true&status=failure&ordering=-created_at&page_size=10",
    )

    expected = [
        row | {"action_name": row["name"]}
        for row in run_seed_query("Get Failed StackStorm Executions")
    ]
    names = ["st2_execution_id", "action_name", "error_message"]
    assert len(expected) == 10
    assert _only(names, found) == _only(names, expected)


def test_the_third_query_of_the_seed_is_a_url(reader: Client) -> None:
    make_seed_run()

    found = results(reader, "executions/?st2_execution_id=5f9e8a7b6c5d4e3f2a1b0c9d")

    expected = run_seed_query("Get All Executions for ST2 Execution ID")
    assert len(expected) == 1
    assert [row["id"] for row in found] == [row["id"] for row in expected]


def _only(names: list[str], rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [
        {"action_name": row["name"]} | {name: row[name] for name in names if name in row}
        if "action_name" not in row
        else {name: row[name] for name in names}
        for row in rows
    ]


def test_executions_can_be_filtered(reader: Client) -> None:
    now = timezone.now()
    execution = factories.make_execution(
        status="failure",
        st2_execution_id="st2-1",
        st2_action_execution_status="failed",
        completed_at=now,
        attempt=2,
    )
    factories.make_execution(
        executed_via_stackstorm=False,
        step_order=2,
        status="running",
        parent=execution,
        created_at=now - datetime.timedelta(days=3),
    )
    since = (now - datetime.timedelta(days=1)).isoformat().replace("+00:00", "Z")
    for query in (
        "status=failure",
        "status=failure&status=timeout",
        f"request_id={execution.request_id}",
        "executed_via_stackstorm=True",
        "st2_execution_id=st2-1",
        "st2_action_execution_status=failed",
        f"trace_tag={execution.trace_tag}",
        f"run={execution.run_id}",
        f"alert={execution.alert_id}",
        f"bucket={execution.bucket_id}",
        f"action={execution.action_id}",
        "step_order=1",
        "attempt=2",
        f"created_since={since}",
        f"completed_since={since}",
    ):
        found = results(reader, f"executions/?{query}")
        assert [row["id"] for row in found] == [execution.pk], query
    assert not results(reader, f"executions/?created_since={since}&created_before={since}")
    assert len(results(reader, f"executions/?parent={execution.pk}")) == 1


def test_alerts_and_runs_can_be_filtered(reader: Client) -> None:
    run = factories.make_run(status="success", actor="ada", trigger="manual", number=2)
    factories.make_run(alert=factories.make_alert(status="resolved", alert_name="Other"))
    alert = run.alert
    alert_filters = [f"request_id={alert.request_id}", f"fingerprint={alert.fingerprint}"]
    alert_filters += ["status=firing", "alert_name=HostDown"]
    run_filters = ["status=success", "actor=ada", "trigger=manual", "number=2"]
    run_filters += [f"alert={alert.pk}", f"bucket={run.bucket_id}"]
    run_filters += [f"fingerprint={alert.fingerprint}", f"request_id={run.request_id}"]

    for query in alert_filters:
        assert [row["id"] for row in results(reader, f"alerts/?{query}")] == [alert.pk], query
    for query in run_filters:
        assert [row["id"] for row in results(reader, f"runs/?{query}")] == [run.pk], query


def test_transitions_can_be_filtered(reader: Client) -> None:
    execution = factories.make_execution()
    execution.record(cause=Cause(actor="ada", request_id="call-1"))
    other = factories.make_execution()
    other.record(cause=Cause())
    expected = Transition.objects.get(actor="ada")

    for query in (
        f"request_id={execution.request_id}",
        "cause_request_id=call-1",
        f"subject_type=execution&subject_id={execution.pk}",
        f"run_id={execution.run_id}",
        "actor=ada",
    ):
        assert [row["id"] for row in results(reader, f"transitions/?{query}")] == [expected.pk]
    assert len(results(reader, "transitions/?to_status=pending")) == 2


@pytest.mark.parametrize(
    ("query", "field", "text"),
    [
        ("nope=1", "nope", "Unknown parameter"),
        ("status=broken", "status", "broken"),
        ("status=", "status", "Empty value"),
        ("st2_execution_id=", "st2_execution_id", "Empty value"),
        ("run=1&run=2", "run", "once"),
        ("run=abc", "run", "whole number"),
        ("run=99999999999999999999", "run", "less than or equal"),
        ("run=1e999999", "run", "whole number"),
        ("executed_via_stackstorm=maybe", "executed_via_stackstorm", "true or false"),
        ("created_since=yesterday", "created_since", "date/time"),
        ("created_since=0001-01-01T00:00:00%2B14:00", "created_since", "1970"),
        ("created_since=9999-12-31T23:59:59-12:00", "created_since", "1970"),
        ("request_id=%00", "request_id", "Null characters"),
        ("ordering=status", "ordering", "created_at"),
        ("page_size=0", "page_size", "500"),
        ("page_size=501", "page_size", "500"),
        ("page_size=²", "page_size", "500"),
        ("cursor=nonsense", "cursor", "links"),
        ("format=xml", "format", "Unknown parameter"),
    ],
)
def test_invalid_parameters_are_rejected_by_name(
    reader: Client, query: str, field: str, text: str
) -> None:
    response = reader.get(f"{API}/executions/?{query}")

    assert response.status_code == 400
    assert text in " ".join(response.json()["error"]["fields"][field])


@pytest.mark.parametrize("name", ["alerts", "runs", "executions", "transitions", "actions"])
def test_a_detail_url_accepts_no_parameters(reader: Client, name: str) -> None:
    execution = factories.make_execution()
    execution.record(cause=Cause())
    pk: int | None = Transition.objects.get().pk if name == "transitions" else 0
    pk = (
        pk
        or {
            "alerts": execution.alert_id,
            "runs": execution.run_id,
            "executions": execution.pk,
            "actions": execution.action_id,
        }[name]
    )

    responses = [reader.get(f"{API}/{name}/{pk}/{query}") for query in ("", "?status=x")]

    assert [response.status_code for response in responses] == [200, 400]
    assert responses[0].json()["id"] == pk


@pytest.mark.parametrize(
    "path", ["runs/99", "runs/999999999999999999", "runs/x", "runs/" + "9" * 99]
)
def test_a_missing_row_is_404(reader: Client, path: str) -> None:
    response = reader.get(f"{API}/{path}/")

    assert response.status_code == 404
    assert response.json()["error"]["code"] == "not_found"


# waiting_for takes two queries: the pause and the problem with StackStorm. Runs take one more for
# their open executions and inquiries, executions one more for their re-runs.
@pytest.mark.parametrize(
    ("name", "extra"), [("alerts", 0), ("runs", 3), ("executions", 3), ("transitions", 0)]
)
def test_query_count_does_not_depend_on_the_length_of_a_list(
    reader: Client, name: str, extra: int, django_assert_num_queries: Any
) -> None:
    reader.get(f"{API}/{name}/")
    for _ in range(4):
        factories.make_execution().record(cause=Cause())

    # Token, page, pause, and recording of the call.
    with django_assert_num_queries(5 + extra):
        found = results(reader, f"{name}/")

    assert len(found) == 4


def test_a_task_without_action_is_returned(reader: Client) -> None:
    factories.make_execution(action_id=None, step_order=5)

    (row,) = results(reader, "executions/")

    assert (row["action"], row["action_name"], row["st2_action_ref"]) == (None, None, None)


def test_parameters_and_result_are_returned(reader: Client) -> None:
    execution = factories.make_execution(
        parameters={"cmd": "true", "password": "********"}, st2_result={"stdout": [1, None]}
    )

    response = reader.get(f"{API}/executions/{execution.pk}").json()

    assert response["parameters"] == {"cmd": "true", "password": "********"}
    assert response["st2_result"] == {"stdout": [1, None]}
    assert ActionExecution.objects.get().trace_tag == response["trace_tag"]


def test_the_explanation_has_a_reason_for_every_bucket(reader: Client) -> None:
    alert = factories.make_alert(reason="No bucket matches this alert.")
    factories.make_bucket(name="other", alert_name_pattern="NodeDown", priority=1)
    factories.make_bucket(name="takes")
    factories.make_bucket(name="off", is_enabled=False)
    factories.make_bucket(name="after", trigger_on="resolved", label_matchers='severity="page"')

    response = reader.get(f"{API}/alerts/{alert.pk}/explanation/").json()

    assert response["reason"] == "No bucket matches this alert."
    assert [(row["bucket_name"], row["outcome"]) for row in response["buckets"]] == [
        ("other", "not_matched"),
        ("takes", "matched"),
        ("off", "disabled"),
        ("after", "not_matched"),
    ]
    assert "'NodeDown' does not match 'HostDown'" in response["buckets"][0]["reason"]
    assert response["buckets"][2]["reason"] == "disabled; if enabled, it matches the alert"
