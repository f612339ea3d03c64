"""The story page and the failures page."""

from __future__ import annotations

import datetime
import re

import pytest
from django.contrib.auth.models import Group, User
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from tests.audit.test_stories import make_call, move
from tests.factories import make_alert, make_execution, make_rejected_alert, make_run

pytestmark = pytest.mark.django_db

FAILURES = reverse("audit:failures")
MARKUP = "<script>alert(1)</script>"


def story_url(request_id: str) -> str:
    return reverse("audit:story", args=[request_id])


@pytest.fixture
def person(client: Client) -> Client:
    client.force_login(User.objects.create_user("night", is_staff=True))
    return client


@pytest.mark.parametrize("address", [FAILURES, story_url("req-a")])
def test_strangers_are_sent_to_the_login(client, address):
    answer = client.get(address)

    assert answer.status_code == 302
    assert answer["Location"].startswith(reverse("admin:login"))


@pytest.mark.parametrize("address", [FAILURES, story_url("req-a")])
def test_people_without_a_place_in_admin_are_refused(client, address):
    client.force_login(User.objects.create_user("visitor"))

    assert client.get(address).status_code == 403


def test_a_story_shows_each_step_with_what_was_sent_and_what_came_back(person):
    alert = make_alert(request_id="req-a", annotations={"summary": "It does not answer."})
    run = make_run(alert=alert, status="failure")
    make_execution(
        run,
        status="failure",
        parameters={"hosts": "web-03"},
        st2_execution_id="65a1b2",
        st2_action_execution_status="failed",
        st2_web_url="https://st2.example.com/#/history/65a1b2",
        st2_result={"stdout": "restarting", "return_code": 1},
        error_message="Job for nginx.service failed.",
    )
    move(alert, "firing", cause="req-a")
    make_call("req-a", actor="alertmanager-fra1")

    answer = person.get(story_url("req-a"))

    text = answer.content.decode()
    assert answer.status_code == 200
    for expected in (
        "alertmanager-fra1",
        "It does not answer.",
        run.bucket.name,
        "hosts=<b>web-03</b>",
        'href="https://st2.example.com/#/history/65a1b2" target="_blank" rel="noopener noreferrer"',
        "Job for nginx.service failed.",
        "restarting",
        "new → ",
    ):
        assert expected in text


def test_a_story_says_why_nothing_ran(person):
    make_alert(request_id="req-a", reason="No bucket takes it.")

    assert b"No bucket takes it." in person.get(story_url("req-a")).content


def test_a_story_names_its_tasks_its_calls_and_the_stories_it_touched(person):
    alert = make_alert(request_id="req-a")
    run = make_run(alert=alert, status="running")
    workflow = make_execution(run, step_order=0, name="drain_node")
    make_execution(run, step_order=1, name="cordon", parent=workflow, status="success")
    move(alert, "resolved", from_status="firing", cause="req-b")
    make_call("req-b")

    first = person.get(story_url("req-a")).content.decode()
    second = person.get(story_url("req-b")).content.decode()

    assert first.index("drain_node") < first.index("cordon")
    assert story_url("req-b") in first
    assert story_url("req-a") in second


def test_an_unknown_id_gets_a_kind_page(person):
    answer = person.get(story_url("req-none"))

    assert answer.status_code == 404
    assert b"Nothing on record bears the request id" in answer.content
    assert b"req-none" in answer.content


def test_what_strangers_write_is_text_and_never_markup(person):
    alert = make_alert(
        {"alertname": MARKUP, "instance": MARKUP, "severity": MARKUP, MARKUP: MARKUP},
        request_id=MARKUP,
        annotations={"summary": MARKUP, "runbook_url": "javascript:alert(1)"},
        generator_url="javascript:alert(1)",
        reason=MARKUP,
    )
    run = make_run(alert=alert, status="failure", reason=MARKUP)
    make_execution(
        run,
        name=MARKUP,
        status="failure",
        parameters={MARKUP: MARKUP},
        st2_execution_id=MARKUP,
        st2_web_url="javascript:alert(1)",
        st2_result={"stdout": MARKUP},
        error_message=MARKUP,
    )
    make_call(MARKUP, path=MARKUP, body={MARKUP: MARKUP}, client_request_id=MARKUP)

    for address in (story_url(MARKUP), FAILURES, story_url(f"{MARKUP} none")):
        text = person.get(address).content.decode()
        assert MARKUP not in text
        assert "&lt;script&gt;" in text
        assert "javascript:" not in "".join(re.findall('href="[^"]*"', text))


def test_failures_show_what_waits_and_what_went_wrong(person):
    for status in ("unknown", "timeout"):
        run = make_run(status=status, alert=make_alert(request_id=f"req-{status}"))
        make_execution(run, status=status, error_message=f"the error of {status}")

    text = person.get(FAILURES).content.decode()

    assert text.index("the error of unknown") < text.index("the error of timeout")
    assert story_url("req-unknown") in text
    assert story_url("req-timeout") in text


def test_failures_show_the_alerts_that_could_not_be_acted_on(person):
    columns = {"alert_name": MARKUP, "client": "10.0.0.9", "request_id": "req-a"}
    make_rejected_alert(reason="status is 'up': send firing or resolved", **columns)
    old = timezone.now() - datetime.timedelta(days=9)
    make_rejected_alert(reason="long ago", received_at=old)

    page = person.get(FAILURES).content.decode()

    assert "status is &#x27;up&#x27;: send firing or resolved" in page
    assert story_url("req-a") in page
    assert "10.0.0.9" in page
    assert MARKUP not in page
    assert "long ago" not in page
    assert "could not be acted on" not in person.get(f"{FAILURES}?before=9").content.decode()


def test_what_waits_for_a_person_is_judged_from_there_by_operators(person):
    run = make_run(status="unknown")
    waiting = make_execution(run, status="unknown")
    failed = make_execution(make_run(status="failure"), status="failure")
    judge = reverse("admin:remediation_actionexecution_set_outcome")

    before = person.get(FAILURES).content.decode()
    User.objects.get().groups.add(Group.objects.create(name="operate"))
    after = person.get(FAILURES).content.decode()

    assert judge not in before
    assert f'href="{judge}?id={waiting.pk}"' in after
    assert f"{judge}?id={failed.pk}" not in after


def test_failures_link_to_the_next_page(person):
    first_run = make_run(status="failure")
    runs = [
        make_run(first_run.bucket, first_run.alert, number=number, status="failure")
        for number in range(2, 102)
    ]

    first = person.get(FAILURES, {"days": "30"}).content.decode()
    second = person.get(FAILURES, {"days": "30", "before": str(runs[0].pk)}).content.decode()

    assert f"?days=30&amp;before={runs[0].pk}" in first
    assert f"run {first_run.pk}<" not in first
    assert f"run {first_run.pk}<" in second
    assert f"run {runs[0].pk}<" not in second


@pytest.mark.parametrize("query", [{"days": "many"}, {"days": "0"}, {"before": "last"}])
def test_a_wrong_question_is_named_and_the_page_still_shows(person, query):
    make_run(status="failure", reason="still shown")

    answer = person.get(FAILURES, query)

    assert answer.status_code == 400
    assert f"{next(iter(query))}: ".encode() in answer.content
    assert b"still shown" in answer.content
