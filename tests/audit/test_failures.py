"""Runs that need an operator, and recent failures."""

from __future__ import annotations

import datetime
from typing import Any

import pytest
from django.utils import timezone

from audit import reports
from remediation.engine.outcomes.stored_inquiries import stored_inquiry
from remediation.models import BucketRun
from tests.factories import make_alert, make_execution, make_run

pytestmark = pytest.mark.django_db

DAY = datetime.timedelta(days=1)


def read_page(**options: Any) -> reports.FailurePage:
    defaults: dict[str, Any] = {"days": 7, "at": timezone.now()}
    return reports.recent_failures(**defaults | options)


def run_ids(failures: tuple[reports.Failure, ...]) -> list[int]:
    return [failure.run_id for failure in failures]


def test_failures_come_newest_first_and_unknown_runs_are_separate():
    runs: dict[str, BucketRun] = {status: make_run(status=status) for status in BucketRun.Status}

    found = read_page()

    assert run_ids(found.unknown_runs) == [runs["unknown"].pk]
    failed = [runs[status].pk for status in ("failure", "timeout", "canceled")]
    assert run_ids(found.failures) == sorted(failed, reverse=True)


def test_old_failures_are_excluded_but_old_unknown_runs_are_not():
    now = timezone.now()
    make_run(status="failure", created_at=now - 8 * DAY)
    recent = make_run(status="failure", created_at=now - 6 * DAY)
    waiting = make_run(status="unknown", created_at=now - 80 * DAY)

    found = read_page(at=now)

    assert run_ids(found.failures) == [recent.pk]
    assert run_ids(found.unknown_runs) == [waiting.pk]


def test_a_failure_has_its_alert_and_last_failed_execution():
    alert = make_alert(request_id="req-a")
    run = make_run(alert=alert, status="failure", reason="restart failed")
    make_execution(run, attempt=1, status="failure", error_message="first")
    make_execution(run, step_order=2, status="success")
    last = make_execution(
        run,
        attempt=2,
        status="timeout",
        error_message="second",
        st2_execution_id="65a1",
        st2_web_url="javascript:alert(1)",
    )

    [failure] = read_page().failures

    assert (failure.alert_name, failure.instance) == ("HostDown", "server-01:9100")
    assert (failure.request_id, failure.reason) == ("req-a", "restart failed")
    assert failure.execution is not None
    assert (failure.execution.id, failure.execution.error_message) == (last.pk, "second")
    assert failure.execution.st2_execution_id == "65a1"
    assert failure.execution.st2_web_url is None


def test_a_run_can_fail_without_an_execution():
    make_run(status="failure", reason="The bucket has no steps.")

    [failure] = read_page().failures

    assert failure.execution is None


def test_pages_have_no_gaps():
    created = [
        make_run(status=status).pk
        for status in ("failure", "timeout", "canceled", "failure", "timeout")
    ]
    seen: list[int] = []
    before = None

    while True:
        found = read_page(before=before, size=2)
        seen += run_ids(found.failures)
        before = found.next_before
        if before is None:
            break

    assert seen == sorted(created, reverse=True)


def test_a_full_last_page_has_no_next_page():
    for _ in range(2):
        make_run(status="failure")

    assert read_page(size=2).next_before is None


def test_too_many_unknown_runs_are_cut_and_marked():
    for _ in range(3):
        make_run(status="unknown")

    found = read_page(size=2)

    assert len(found.unknown_runs) == 2
    assert found.unknown_runs_cut


@pytest.mark.parametrize("size", [1, 6])
def test_query_count_does_not_depend_on_the_number_of_failures(size, django_assert_num_queries):
    for status in ("failure", "timeout", "canceled", "unknown"):
        for _ in range(size):
            make_execution(make_run(status=status), status="failure")

    with django_assert_num_queries(8):
        found = read_page()

    assert len(found.failures) == 3 * size


def test_waiting_executions_have_their_inquiry_and_command():
    schema = {"properties": {"approve": {"type": "boolean", "description": "Reboot?"}}}
    inquiry = stored_inquiry("6b0a", task="ask", schema=schema)
    waiting = make_execution(
        status="running", asking_since=timezone.now(), inquiries=[inquiry], name="reboot"
    )
    make_execution(status="running")
    make_execution(status="skipped", asking_since=timezone.now(), inquiries=[inquiry])
    canceled = make_run(status="running", stop="cancel")
    make_execution(canceled, status="running", asking_since=timezone.now(), inquiries=[inquiry])

    [found] = read_page().waiting_executions

    assert (found.execution_id, found.name) == (waiting.pk, "reboot")
    [shown] = found.inquiries
    assert (shown.id, shown.task) == ("6b0a", "ask")
    assert shown.questions == ("approve (boolean): Reboot?",)
    assert shown.respond == "st2 inquiry respond 6b0a"


def test_older_pages_omit_waiting_executions():
    make_execution(status="running", asking_since=timezone.now())

    assert len(read_page().waiting_executions) == 1
    assert read_page(before=99).waiting_executions == ()
