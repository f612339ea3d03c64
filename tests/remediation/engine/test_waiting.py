"""Each waiting row shows why it waits, on every way to read it, without a write per row."""

import datetime

import pytest
from django.urls import reverse
from django.utils import timezone

from remediation.engine import outage
from remediation.engine.launching import launch
from remediation.engine.operations import pause
from remediation.engine.waiting import Holds
from remediation.models import ActionExecution, Cause, Heartbeat
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


def break_stackstorm():
    at = timezone.now()
    until = at + datetime.timedelta(seconds=9)
    Heartbeat.tell("stackstorm", "502 Bad Gateway.", at=at, until=until)
    return until


def reason(row):
    return Holds().reason(row)


def test_in_an_outage_all_wait_for_stackstorm_and_the_next_try():
    rows = [make_execution() for _ in range(3)]
    until = break_stackstorm()

    for row in rows:
        assert "StackStorm does not take calls since" in reason(row)
        assert "502 Bad Gateway. It is tried again from" in reason(row)
        assert f"{until:%Y-%m-%d %H:%M:%S} UTC" in reason(row)


def test_rows_of_an_outage_are_not_written(sandbox, st2):
    rows = [make_execution() for _ in range(5)]
    sandbox.configure(refusal_status=503)
    launch.launch_due(client=st2)
    before = list(ActionExecution.objects.order_by("pk").values())

    for _ in range(3):
        launch.launch_due(client=st2)

    assert list(ActionExecution.objects.order_by("pk").values()) == before
    assert all("(503)" in reason(ActionExecution.objects.get(pk=row.pk)) for row in rows)


def test_a_pause_comes_before_everything_else():
    row = make_execution()
    break_stackstorm()
    pause.pause(reason="maintenance", expires_at=None, cause=Cause(actor="ann"))

    assert reason(row) == "PoundCake is paused by ann: maintenance."


def test_a_local_action_does_not_wait_for_stackstorm():
    run = make_run(make_step(make_bucket(), make_local_action()).bucket)
    break_stackstorm()

    assert reason(make_execution(run)) == "A worker has to take it."


def test_what_is_not_due_says_when_and_why():
    later = timezone.now() + datetime.timedelta(hours=1)
    row = make_execution(due_at=later, error_message="401: Unauthorized")

    assert reason(row) == f"Not due until {later:%Y-%m-%d %H:%M:%S} UTC: 401: Unauthorized"


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ({"status": "success"}, ""),
        ({"status": "unknown"}, "A person has to say how it ended."),
        ({"status": "running"}, ""),
        ({"status": "running", "asking_since": timezone.now()}, "waits for a person's answer"),
        ({"status": "launching"}, ""),
        (
            {"status": "launching", "lookup_until": timezone.now(), "error_message": "asked"},
            "asked",
        ),
    ],
)
def test_the_other_statuses(columns, words):
    found = reason(make_execution(**columns))

    assert words in found
    assert bool(found) is bool(words)


def test_what_runs_shows_that_its_end_cannot_be_known():
    row = make_execution(status="running")
    break_stackstorm()

    assert "How it goes on is not known. StackStorm does not take calls since" in reason(row)


def test_the_api_shows_it_on_executions_and_runs():
    execution = make_execution()
    make_execution(status="success")
    break_stackstorm()
    reader = make_client("read")

    executions = reader.get(f"{API}/executions/").json()["results"]
    runs = reader.get(f"{API}/runs/").json()["results"]
    run = reader.get(f"{API}/runs/{execution.run_id}/").json()

    shown = {row["id"]: row["waiting_for"] for row in executions}
    assert "502 Bad Gateway" in shown.pop(execution.pk)
    assert list(shown.values()) == [""]
    assert "502 Bad Gateway" in {row["id"]: row["waiting_for"] for row in runs}[execution.run_id]
    assert run["waiting_for"].startswith(f"{execution.name}: StackStorm does not take calls")


def test_the_lists_of_admin_show_it(admin_client):
    make_execution()
    break_stackstorm()

    for model in ("actionexecution", "bucketrun"):
        address = reverse(f"admin:remediation_{model}_changelist")
        table = admin_client.get(address).content.decode().partition("result_list")[2]
        assert "StackStorm does not take calls since" in table


def test_the_story_shows_it(admin_client):
    execution = make_execution()
    break_stackstorm()
    request_id = execution.request_id

    page = admin_client.get(reverse("audit:story", args=[request_id])).content.decode()
    story = make_client("read").get(f"{API}/requests/{request_id}/").json()

    assert page.count("StackStorm does not take calls since") == 1
    [told] = story["alerts"][0]["runs"][0]["executions"]
    assert "502 Bad Gateway" in told["waiting_for"]


def test_when_it_is_over_nothing_is_shown():
    row = make_execution()
    break_stackstorm()
    outage.end_by_launch(at=timezone.now())

    assert reason(row) == "A worker has to take it."
