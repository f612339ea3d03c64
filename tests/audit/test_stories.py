"""The story of one request_id."""

from __future__ import annotations

import datetime
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from audit import reports
from audit.models import ApiCall
from audit.reports import stories
from remediation.models import ActionExecution, Alert, Cause, Transition
from tests.factories import (
    make_alert,
    make_bucket,
    make_execution,
    make_local_action,
    make_run,
    make_step,
)

pytestmark = pytest.mark.django_db


def make_call(request_id: str, **columns: Any) -> ApiCall:
    now = timezone.now()
    defaults = {
        "method": "POST",
        "path": "/api/v1/webhook",
        "status_code": 202,
        "processing_time_ms": 12.5,
        "created_at": now,
        "completed_at": now,
    }
    return ApiCall.objects.create(request_id=request_id, **defaults | columns)


def move(subject: Any, to_status: str, *, cause: str = "", from_status: str = "") -> None:
    Transition.of(
        subject, cause=Cause(request_id=cause), from_status=from_status, to_status=to_status
    ).save()


def told(request_id: str) -> reports.Story:
    found = reports.story(request_id)
    assert found is not None
    return found


def test_an_id_that_nothing_bears_has_no_story():
    make_alert(request_id="other")

    assert reports.story("req-none") is None


def test_a_story_goes_from_the_call_down_to_each_attempt():
    alert = make_alert(request_id="req-a")
    run = make_run(alert=alert)
    first = make_execution(run, attempt=1, status="failure", parameters={"hosts": "web-03"})
    second = make_execution(run, attempt=2, status="success", st2_result={"stdout": "ok"})
    make_call("req-a")

    story = told("req-a")

    assert story.call.path == "/api/v1/webhook"
    [told_alert] = story.alerts
    [told_run] = told_alert.runs
    assert (told_alert.id, told_run.id, told_run.bucket) == (alert.pk, run.pk, run.bucket.name)
    assert [execution.id for execution in told_run.executions] == [first.pk, second.pk]
    assert told_run.executions[0].parameters == {"hosts": "web-03"}
    assert told_run.executions[1].result == {"stdout": "ok"}
    assert told_run.executions[0].action_ref == "core.local"


def test_tasks_stand_under_their_workflow():
    run = make_run(alert=make_alert(request_id="req-a"))
    workflow = make_execution(run, step_order=0, name="drain")
    for step_order, name in ((2, "uncordon"), (1, "cordon")):
        make_execution(
            run, step_order=step_order, name=name, parent=workflow, action_id=None, trace_tag=None
        )

    [told_run] = told("req-a").alerts[0].runs

    [told_workflow] = told_run.executions
    assert [task.name for task in told_workflow.tasks] == ["cordon", "uncordon"]


def test_a_local_action_is_named_by_the_action():
    step = make_step(make_bucket(), make_local_action(name="note_it"))
    make_execution(make_run(step.bucket, make_alert(request_id="req-a")))

    [execution] = told("req-a").alerts[0].runs[0].executions

    assert execution.action_ref == "note_it"
    assert not execution.executed_via_stackstorm


def test_the_runs_of_a_retry_belong_to_the_alerts_story():
    run = make_run(alert=make_alert(request_id="req-a"))
    make_run(run.bucket, run.alert, number=2, trigger="retry", retry_of=run)

    assert [told_run.number for told_run in told("req-a").alerts[0].runs] == [1, 2]


def test_transitions_come_in_the_order_in_which_they_happened():
    alert = make_alert(request_id="req-a")
    run = make_run(alert=alert)
    move(alert, "firing", cause="req-a")
    move(run, "pending", cause="req-a")
    move(run, "running", from_status="pending")
    move(alert, "resolved", from_status="firing", cause="req-b")
    move(make_alert(request_id="req-z"), "firing", cause="req-z")

    moves = told("req-a").transitions

    assert [(one.subject_type, one.to_status) for one in moves] == [
        ("alert", "firing"),
        ("run", "pending"),
        ("run", "running"),
        ("alert", "resolved"),
    ]


def test_other_calls_that_moved_the_story_are_named():
    alert = make_alert(request_id="req-a")
    move(alert, "firing", cause="req-a")
    move(alert, "resolved", from_status="firing", cause="req-b")
    make_call("req-a")
    make_call("req-b", actor="alertmanager")

    [other] = told("req-a").other_calls

    assert (other.request_id, other.actor) == ("req-b", "alertmanager")


def test_a_call_that_only_resolved_an_alert_leads_to_its_story():
    alert = make_alert(request_id="req-a", status="resolved")
    move(alert, "resolved", from_status="firing", cause="req-b")

    story = told("req-b")

    assert story.alerts == ()
    [other] = story.other_stories
    assert (other.request_id, other.alert_id) == ("req-a", alert.pk)


def test_a_call_that_only_repeated_an_alert_leads_to_its_story():
    old = make_alert(request_id="req-old", status="resolved", fingerprint="00000000000000aa")
    alert = make_alert(request_id="req-a", fingerprint="00000000000000aa")
    receipt = {"fingerprint": "00000000000000aa", "disposition": "repeated"}
    make_call("req-b", response_body={"alerts": [receipt]})
    later = timezone.now() + datetime.timedelta(hours=1)
    make_alert(
        request_id="req-later",
        status="resolved",
        fingerprint="00000000000000aa",
        created_at=later,
    )

    [other] = told("req-b").other_stories

    assert other.request_id == "req-a"
    assert other.alert_id == alert.pk != old.pk


def test_an_alert_that_the_call_opened_is_no_other_story():
    alert = make_alert(request_id="req-a")
    receipt = {"fingerprint": alert.fingerprint, "disposition": "created"}
    later = timezone.now() + datetime.timedelta(seconds=1)
    make_call("req-a", response_body={"alerts": [receipt]}, completed_at=later)

    assert told("req-a").other_stories == ()


@pytest.mark.parametrize(
    "answer",
    [None, "text", [], {"alerts": None}, {"alerts": [None, {}, {"fingerprint": ["a"]}]}],
)
def test_an_answer_of_any_shape_is_no_trouble(answer):
    make_call("req-a", response_body=answer)

    assert told("req-a").other_stories == ()


def test_links_from_strangers_are_only_links_when_they_are_safe():
    alert = make_alert(
        request_id="req-a",
        generator_url="javascript:alert(1)",
        annotations={"runbook_url": "https://runbooks.example.com/a"},
    )
    make_execution(make_run(alert=alert), st2_web_url="data:text/html,x")

    [told_alert] = told("req-a").alerts

    assert told_alert.generator_url is None
    assert told_alert.runbook_url == "https://runbooks.example.com/a"
    assert told_alert.runs[0].executions[0].st2_web_url is None


def test_of_a_long_result_only_the_beginning_is_read():
    alert = make_alert(request_id="req-a")
    make_execution(make_run(alert=alert), st2_result={"stdout": "x" * 100_000})

    [execution] = told("req-a").alerts[0].runs[0].executions

    assert execution.result["truncated"] is True
    assert len(execution.result["beginning"]) == stories.RESULT_LENGTH
    assert execution.result_text.endswith("x …")


@pytest.mark.skipif(connection.vendor == "mysql", reason="MariaDB does not store it")
def test_what_no_page_can_hold_is_replaced():
    alert = make_alert(request_id="req-a")
    make_execution(
        make_run(alert=alert), st2_result={"stdout": "\ud800"}, parameters={"cmd": "\udfff"}
    )

    [execution] = told("req-a").alerts[0].runs[0].executions

    assert execution.result == {"stdout": "?"}
    assert execution.parameters == {"cmd": "?"}


def test_a_huge_story_is_cut_and_says_so(monkeypatch):
    monkeypatch.setattr(stories, "ALERTS_MAX", 2)
    for _ in range(3):
        make_alert(request_id="req-a")

    story = told("req-a")

    assert len(story.alerts) == 2
    assert story.is_cut


@pytest.mark.parametrize("size", [1, 5])
def test_a_story_of_any_size_takes_the_same_number_of_queries(size, django_assert_num_queries):
    other = make_alert(request_id="req-other")
    for _ in range(size):
        alert = make_alert(request_id="req-a")
        for _ in range(size):
            run = make_run(alert=alert)
            workflow = make_execution(run, step_order=0)
            make_execution(run, step_order=1, parent=workflow)
            move(run, "pending", cause="req-b")
        move(other, "resolved", from_status="firing", cause="req-a")
    receipt = {"fingerprint": other.fingerprint, "disposition": "repeated"}
    make_call("req-a", response_body={"alerts": [receipt]})
    make_call("req-b")

    # What waits, waits for a pause or for StackStorm: two of them, however many wait.
    with django_assert_num_queries(12):
        story = told("req-a")

    assert len(story.alerts) == size
    assert len(story.alerts[0].runs[0].executions[0].tasks) == 1
    assert len(story.other_stories) == 1


@pytest.mark.parametrize(
    ("labels", "title"),
    [
        ([{"alertname": "HostDown", "instance": "web-03"}], "HostDown on web-03"),
        ([{"alertname": "HostDown"}], "HostDown"),
        ([{}], "Alert without a name"),
        ([{"alertname": "A"}, {"alertname": "B"}], "2 alerts"),
        ([], "POST /api/v1/webhook"),
    ],
)
def test_a_story_has_a_title(labels, title):
    make_call("req-a")
    for one in labels:
        make_alert(one, request_id="req-a")

    assert told("req-a").title == title


def test_every_status_that_wants_a_person_counts_as_failed():
    alert = make_alert(request_id="req-a")
    run = make_run(alert=alert)
    for attempt, status in enumerate(ActionExecution.Status, start=1):
        make_execution(run, attempt=attempt, status=status)

    executions = told("req-a").alerts[0].runs[0].executions

    failed = {execution.status for execution in executions if execution.is_failed}
    assert failed == {"failure", "timeout", "unknown"}
    assert Alert.objects.count() == 1
