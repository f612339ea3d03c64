"""The story page and the failures page."""

from __future__ import annotations

import datetime
import re

import pytest
from django.contrib.auth.models import Group, User
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from tests.audit.test_stories import make_call, make_transition
from tests.factories import log_in, make_alert, make_execution, make_rejected_alert, make_run

pytestmark = pytest.mark.django_db

FAILURES = reverse("audit:failures")
MARKUP = "<script>alert(1)</script>"


def story_url(request_id: str) -> str:
    return reverse("audit:story", args=[request_id])


@pytest.fixture
def staff(db: None) -> Client:
    return log_in("read", username="night")


@pytest.mark.parametrize("url", [FAILURES, story_url("req-a")])
def test_anonymous_users_are_redirected_to_the_login(client, url):
    response = client.get(url)

    assert response.status_code == 302
    assert response["Location"].startswith(reverse("admin:login"))


@pytest.mark.parametrize("url", [FAILURES, story_url("req-a")])
@pytest.mark.parametrize(
    ("roles", "columns"), [(["read"], {"is_staff": False}), ([], {}), (["first_level"], {})]
)
def test_users_without_staff_status_or_role_are_forbidden(url, roles, columns, db):
    response = log_in(*roles, **columns).get(url)

    assert response.status_code == 403
    assert "These pages need staff status and the role read." in response.content.decode()


def test_a_story_shows_parameters_and_results(staff):
    alert = make_alert(request_id="req-a", annotations={"summary": "It does not response."})
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
    make_transition(alert, "firing", cause="req-a")
    make_call("req-a", actor="alertmanager-fra1")

    response = staff.get(story_url("req-a"))

    text = response.content.decode()
    assert response.status_code == 200
    for expected in (
        "alertmanager-fra1",
        "It does not response.",
        run.bucket.name,
        "hosts=<b>web-03</b>",
        'href="https://st2.example.com/#/history/65a1b2" target="_blank" rel="noopener noreferrer"',
        "Job for nginx.service failed.",
        "restarting",
        "new → ",
    ):
        assert expected in text


def test_a_story_shows_why_no_bucket_ran(staff):
    make_alert(request_id="req-a", reason="No bucket takes it.")

    assert b"No bucket takes it." in staff.get(story_url("req-a")).content


def test_a_story_shows_tasks_other_calls_and_other_stories(staff):
    alert = make_alert(request_id="req-a")
    run = make_run(alert=alert, status="running")
    workflow = make_execution(run, step_order=0, name="drain_node")
    make_execution(run, step_order=1, name="cordon", parent=workflow, status="success")
    make_transition(alert, "resolved", from_status="firing", cause="req-b")
    make_call("req-b")

    first = staff.get(story_url("req-a")).content.decode()
    second = staff.get(story_url("req-b")).content.decode()

    assert first.index("drain_node") < first.index("cordon")
    assert story_url("req-b") in first
    assert story_url("req-a") in second


def test_an_unknown_id_shows_a_help_page(staff):
    response = staff.get(story_url("req-none"))

    assert response.status_code == 404
    assert b"There is no request id" in response.content
    assert b"req-none" in response.content


def test_untrusted_text_is_escaped(staff):
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

    for url in (story_url(MARKUP), FAILURES, story_url(f"{MARKUP} none")):
        text = staff.get(url).content.decode()
        assert MARKUP not in text
        assert "&lt;script&gt;" in text
        assert "javascript:" not in "".join(re.findall('href="[^"]*"', text))


def test_failures_show_unknown_runs_before_failed_runs(staff):
    for status in ("unknown", "timeout"):
        run = make_run(status=status, alert=make_alert(request_id=f"req-{status}"))
        make_execution(run, status=status, error_message=f"the error of {status}")

    text = staff.get(FAILURES).content.decode()

    assert text.index("the error of unknown") < text.index("the error of timeout")
    assert story_url("req-unknown") in text
    assert story_url("req-timeout") in text


def test_failures_show_rejected_alerts(staff):
    columns = {"alert_name": MARKUP, "client": "10.0.0.9", "request_id": "req-a"}
    make_rejected_alert(reason="status is 'up': send firing or resolved", **columns)
    old = timezone.now() - datetime.timedelta(days=9)
    make_rejected_alert(reason="long ago", received_at=old)

    page = staff.get(FAILURES).content.decode()

    assert "status is &#x27;up&#x27;: send firing or resolved" in page
    assert story_url("req-a") in page
    assert "10.0.0.9" in page
    assert MARKUP not in page
    assert "long ago" not in page
    assert "Rejected alerts" not in staff.get(f"{FAILURES}?before=9").content.decode()


def test_operators_get_a_link_to_set_the_outcome(staff):
    run = make_run(status="unknown")
    waiting = make_execution(run, status="unknown")
    failed = make_execution(make_run(status="failure"), status="failure")
    set_outcome = reverse("admin:remediation_actionexecution_set_outcome")

    before = staff.get(FAILURES).content.decode()
    User.objects.get().groups.add(Group.objects.get(name="operate"))
    after = staff.get(FAILURES).content.decode()

    assert set_outcome not in before
    assert f'href="{set_outcome}?id={waiting.pk}"' in after
    assert f"{set_outcome}?id={failed.pk}" not in after


def test_failures_link_to_the_next_page(staff):
    first_run = make_run(status="failure")
    runs = [
        make_run(first_run.bucket, first_run.alert, number=number, status="failure")
        for number in range(2, 102)
    ]

    first = staff.get(FAILURES, {"days": "30"}).content.decode()
    second = staff.get(FAILURES, {"days": "30", "before": str(runs[0].pk)}).content.decode()

    assert f"?days=30&amp;before={runs[0].pk}" in first
    assert f"run {first_run.pk}<" not in first
    assert f"run {first_run.pk}<" in second
    assert f"run {runs[0].pk}<" not in second


@pytest.mark.parametrize("query", [{"days": "many"}, {"days": "0"}, {"before": "last"}])
def test_an_invalid_query_shows_the_error_and_the_page(staff, query):
    make_run(status="failure", reason="still shown")

    response = staff.get(FAILURES, query)

    assert response.status_code == 400
    assert f"{next(iter(query))}: ".encode() in response.content
    assert b"still shown" in response.content
