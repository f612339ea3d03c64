"""The API and the admin show why a row waits; no reason is stored per row."""

import datetime

import pytest
from django.urls import reverse
from django.utils import timezone

from remediation.engine import outage
from remediation.engine.launching import launch
from remediation.engine.operations import pause
from remediation.engine.waiting_reasons import WaitReasons
from remediation.models import ActionExecution, Cause, Problem
from tests.factories import (
    make_bucket,
    make_client,
    make_execution,
    make_local_action,
    make_run,
    make_step,
)

pytestmark = pytest.mark.django_db

API = "/api/v1"


def start_outage():
    at = timezone.now()
    until = at + datetime.timedelta(seconds=9)
    Problem.report("stackstorm", "502 Bad Gateway.", at=at, next_try_at=until)
    return until


def reason(row):
    return WaitReasons().reason(row)


def test_executions_wait_for_the_next_call_during_an_outage():
    rows = [make_execution() for _ in range(3)]
    until = start_outage()

    for row in rows:
        assert "StackStorm has accepted no requests since" in reason(row)
        assert "502 Bad Gateway. PoundCake retries from" in reason(row)
        assert f"{until:%Y-%m-%d %H:%M:%S} UTC" in reason(row)


def test_an_outage_changes_no_rows(sandbox, st2):
    rows = [make_execution() for _ in range(5)]
    sandbox.configure(refusal_status=503)
    launch.launch_due(client=st2)
    before = list(ActionExecution.objects.order_by("pk").values())

    for _ in range(3):
        launch.launch_due(client=st2)

    assert list(ActionExecution.objects.order_by("pk").values()) == before
    assert all("returned 503" in reason(ActionExecution.objects.get(pk=row.pk)) for row in rows)


def test_a_pause_is_the_first_reason():
    row = make_execution()
    start_outage()
    pause.pause(reason="maintenance", expires_at=None, cause=Cause(actor="ann"))

    assert reason(row) == "PoundCake is paused by ann: maintenance."


def test_a_local_action_does_not_wait_for_stackstorm():
    run = make_run(make_step(make_bucket(), make_local_action()).bucket)
    start_outage()

    assert reason(make_execution(run)) == "It waits for a worker."


def test_a_future_execution_shows_its_due_time_and_the_error():
    later = timezone.now() + datetime.timedelta(hours=1)
    row = make_execution(due_at=later, error_message="401: Unauthorized")

    assert reason(row) == f"Not due until {later:%Y-%m-%d %H:%M:%S} UTC: 401: Unauthorized"


@pytest.mark.parametrize(
    ("columns", "text"),
    [
        ({"status": "success"}, ""),
        ({"status": "unknown"}, "An operator has to set its outcome."),
        ({"status": "running"}, ""),
        ({"status": "running", "asking_since": timezone.now()}, "waits for a user's response"),
        ({"status": "launching"}, ""),
        (
            {"status": "launching", "lookup_until": timezone.now(), "error_message": "asked"},
            "asked",
        ),
    ],
)
def test_the_reason_depends_on_the_status(columns, text):
    found = reason(make_execution(**columns))

    assert text in found
    assert bool(found) is bool(text)


def test_a_running_execution_shows_an_outage():
    row = make_execution(status="running")
    start_outage()

    assert "Its progress is unknown. StackStorm has accepted no requests since" in reason(row)


def test_the_api_shows_the_reason_on_executions_and_runs():
    execution = make_execution()
    make_execution(status="success")
    start_outage()
    reader = make_client("read")

    executions = reader.get(f"{API}/executions/").json()["results"]
    runs = reader.get(f"{API}/runs/").json()["results"]
    run = reader.get(f"{API}/runs/{execution.run_id}/").json()

    shown = {row["id"]: row["waiting_for"] for row in executions}
    assert "502 Bad Gateway" in shown.pop(execution.pk)
    assert list(shown.values()) == [""]
    assert "502 Bad Gateway" in {row["id"]: row["waiting_for"] for row in runs}[execution.run_id]
    assert run["waiting_for"].startswith(f"{execution.name}: StackStorm has accepted no requests")


def test_the_admin_lists_show_the_reason(admin_client):
    make_execution()
    start_outage()

    for model in ("actionexecution", "bucketrun"):
        url = reverse(f"admin:remediation_{model}_changelist")
        table = admin_client.get(url).content.decode().partition("result_list")[2]
        assert "StackStorm has accepted no requests since" in table


def test_the_story_shows_the_reason(admin_client):
    execution = make_execution()
    start_outage()
    request_id = execution.request_id

    page = admin_client.get(reverse("audit:story", args=[request_id])).content.decode()
    story = make_client("read").get(f"{API}/requests/{request_id}/").json()

    assert page.count("StackStorm has accepted no requests since") == 1
    [shown] = story["alerts"][0]["runs"][0]["executions"]
    assert "502 Bad Gateway" in shown["waiting_for"]


def test_the_reason_ends_with_the_outage():
    row = make_execution()
    start_outage()
    outage.end_by_launch(at=timezone.now())

    assert reason(row) == "It waits for a worker."
