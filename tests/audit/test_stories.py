"""The story of a request_id."""

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


def make_transition(
    subject: Any, to_status: str, *, cause: str = "", from_status: str = ""
) -> None:
    Transition.of(
        subject, cause=Cause(request_id=cause), from_status=from_status, to_status=to_status
    ).save()


def read_story(request_id: str) -> reports.Story:
    story = reports.story(request_id)
    assert story is not None
    return story


def test_an_unknown_id_has_no_story():
    make_alert(request_id="other")

    assert reports.story("req-none") is None


def test_a_story_has_the_call_runs_and_attempts():
    alert = make_alert(request_id="req-a")
    run = make_run(alert=alert)
    first = make_execution(run, attempt=1, status="failure", parameters={"hosts": "web-03"})
    second = make_execution(run, attempt=2, status="success", st2_result={"stdout": "ok"})
    make_call("req-a")

    story = read_story("req-a")

    assert story.call is not None
    assert story.call.path == "/api/v1/webhook"
    [shown_alert] = story.alerts
    [shown_run] = shown_alert.runs
    assert (shown_alert.id, shown_run.id, shown_run.bucket) == (alert.pk, run.pk, run.bucket.name)
    assert [execution.id for execution in shown_run.executions] == [first.pk, second.pk]
    assert shown_run.executions[0].parameters == {"hosts": "web-03"}
    assert shown_run.executions[1].result == {"stdout": "ok"}
    assert shown_run.executions[0].action_ref == "core.local"


def test_tasks_are_below_their_workflow():
    run = make_run(alert=make_alert(request_id="req-a"))
    workflow = make_execution(run, step_order=0, name="drain")
    for step_order, name in ((2, "uncordon"), (1, "cordon")):
        make_execution(
            run, step_order=step_order, name=name, parent=workflow, action_id=None, trace_tag=None
        )

    [shown_run] = read_story("req-a").alerts[0].runs

    [shown_workflow] = shown_run.executions
    assert [task.name for task in shown_workflow.tasks] == ["cordon", "uncordon"]


def test_a_local_action_shows_the_name_of_the_action():
    step = make_step(make_bucket(), make_local_action(name="note_it"))
    make_execution(make_run(step.bucket, make_alert(request_id="req-a")))

    [execution] = read_story("req-a").alerts[0].runs[0].executions

    assert execution.action_ref == "note_it"
    assert not execution.executed_via_stackstorm


def test_retried_runs_belong_to_the_story_of_the_alert():
    run = make_run(alert=make_alert(request_id="req-a"))
    make_run(run.bucket, run.alert, number=2, trigger="retry", retry_of=run)

    assert [shown_run.number for shown_run in read_story("req-a").alerts[0].runs] == [1, 2]


def test_transitions_are_in_order():
    alert = make_alert(request_id="req-a")
    run = make_run(alert=alert)
    make_transition(alert, "firing", cause="req-a")
    make_transition(run, "pending", cause="req-a")
    make_transition(run, "running", from_status="pending")
    make_transition(alert, "resolved", from_status="firing", cause="req-b")
    make_transition(make_alert(request_id="req-z"), "firing", cause="req-z")

    transitions = read_story("req-a").transitions

    assert [(transition.subject_type, transition.to_status) for transition in transitions] == [
        ("alert", "firing"),
        ("run", "pending"),
        ("run", "running"),
        ("alert", "resolved"),
    ]


def test_a_story_lists_other_calls_that_changed_it():
    alert = make_alert(request_id="req-a")
    make_transition(alert, "firing", cause="req-a")
    make_transition(alert, "resolved", from_status="firing", cause="req-b")
    make_call("req-a")
    make_call("req-b", actor="alertmanager")

    [other] = read_story("req-a").other_calls

    assert (other.request_id, other.actor) == ("req-b", "alertmanager")


def test_a_call_that_resolved_an_alert_links_to_its_story():
    alert = make_alert(request_id="req-a", status="resolved")
    make_transition(alert, "resolved", from_status="firing", cause="req-b")

    story = read_story("req-b")

    assert story.alerts == ()
    [other] = story.other_stories
    assert (other.request_id, other.alert_id) == ("req-a", alert.pk)


def test_a_call_that_repeated_an_alert_links_to_its_story():
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

    [other] = read_story("req-b").other_stories

    assert other.request_id == "req-a"
    assert other.alert_id == alert.pk != old.pk


def test_an_alert_that_the_call_opened_is_not_another_story():
    alert = make_alert(request_id="req-a")
    receipt = {"fingerprint": alert.fingerprint, "disposition": "created"}
    later = timezone.now() + datetime.timedelta(seconds=1)
    make_call("req-a", response_body={"alerts": [receipt]}, completed_at=later)

    assert read_story("req-a").other_stories == ()


@pytest.mark.parametrize(
    "response",
    [None, "text", [], {"alerts": None}, {"alerts": [None, {}, {"fingerprint": ["a"]}]}],
)
def test_a_response_of_any_shape_is_accepted(response):
    make_call("req-a", response_body=response)

    assert read_story("req-a").other_stories == ()


def test_unsafe_links_are_removed():
    alert = make_alert(
        request_id="req-a",
        generator_url="javascript:alert(1)",
        annotations={"runbook_url": "https://runbooks.example.com/a"},
    )
    make_execution(make_run(alert=alert), st2_web_url="data:text/html,x")

    [shown_alert] = read_story("req-a").alerts

    assert shown_alert.generator_url is None
    assert shown_alert.runbook_url == "https://runbooks.example.com/a"
    assert shown_alert.runs[0].executions[0].st2_web_url is None


def test_a_long_result_is_truncated():
    alert = make_alert(request_id="req-a")
    make_execution(make_run(alert=alert), st2_result={"stdout": "x" * 100_000})

    [execution] = read_story("req-a").alerts[0].runs[0].executions

    assert execution.result["truncated"] is True
    assert len(execution.result["beginning"]) == stories.RESULT_LENGTH
    assert execution.result_text.endswith("x …")


@pytest.mark.skipif(connection.vendor == "mysql", reason="MariaDB does not store it")
def test_lone_surrogates_are_replaced():
    alert = make_alert(request_id="req-a")
    make_execution(
        make_run(alert=alert), st2_result={"stdout": "\ud800"}, parameters={"cmd": "\udfff"}
    )

    [execution] = read_story("req-a").alerts[0].runs[0].executions

    assert execution.result == {"stdout": "?"}
    assert execution.parameters == {"cmd": "?"}


def test_a_large_story_is_cut_and_marked(monkeypatch):
    monkeypatch.setattr(stories, "ALERTS_MAX", 2)
    for _ in range(3):
        make_alert(request_id="req-a")

    story = read_story("req-a")

    assert len(story.alerts) == 2
    assert story.is_cut


@pytest.mark.parametrize("size", [1, 5])
def test_query_count_does_not_depend_on_the_size_of_a_story(size, django_assert_num_queries):
    other = make_alert(request_id="req-other")
    for _ in range(size):
        alert = make_alert(request_id="req-a")
        for _ in range(size):
            run = make_run(alert=alert)
            workflow = make_execution(run, step_order=0)
            make_execution(run, step_order=1, parent=workflow)
            make_transition(run, "pending", cause="req-b")
        make_transition(other, "resolved", from_status="firing", cause="req-a")
    receipt = {"fingerprint": other.fingerprint, "disposition": "repeated"}
    make_call("req-a", response_body={"alerts": [receipt]})
    make_call("req-b")

    # Two of the queries read the wait reasons: the pause and the problem with StackStorm.
    with django_assert_num_queries(12):
        story = read_story("req-a")

    assert len(story.alerts) == size
    assert len(story.alerts[0].runs[0].executions[0].tasks) == 1
    assert len(story.other_stories) == 1


@pytest.mark.parametrize(
    ("labels", "title"),
    [
        ([{"alertname": "HostDown", "instance": "web-03"}], "HostDown on web-03"),
        ([{"alertname": "HostDown"}], "HostDown"),
        ([{}], "Unnamed alert"),
        ([{"alertname": "A"}, {"alertname": "B"}], "2 alerts"),
        ([], "POST /api/v1/webhook"),
    ],
)
def test_a_story_has_a_title(labels, title):
    make_call("req-a")
    for alert_labels in labels:
        make_alert(alert_labels, request_id="req-a")

    assert read_story("req-a").title == title


def test_failed_and_unknown_executions_count_as_failed():
    alert = make_alert(request_id="req-a")
    run = make_run(alert=alert)
    for attempt, status in enumerate(ActionExecution.Status, start=1):
        make_execution(run, attempt=attempt, status=status)

    executions = read_story("req-a").alerts[0].runs[0].executions

    failed = {execution.status for execution in executions if execution.is_failed}
    assert failed == {"failure", "timeout", "unknown"}
    assert Alert.objects.count() == 1
