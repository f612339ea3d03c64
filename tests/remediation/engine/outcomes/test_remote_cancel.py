"""Executions are canceled in StackStorm once; open inquiries, which it never cancels, end here."""

import datetime
from typing import Any

import pytest
from django.utils import timezone

from remediation.engine import cancel
from remediation.engine.launching import launch, lookup
from remediation.engine.outcomes import poll
from remediation.models import ActionExecution, BucketRun, Cause
from tests.factories import make_action, make_bucket, make_execution, make_run, make_step

pytestmark = pytest.mark.django_db

Status = ActionExecution.Status
OPERATOR: dict[str, Any] = {
    "reason": "wrong host",
    "cause": Cause(at=timezone.now(), actor="ann", request_id="call-9"),
}


@pytest.fixture
def launched(sandbox, st2):
    """Launch a one-step run of this action, which stays in this StackStorm status."""

    def start(ref, status, *, parameters=None, **step):
        sandbox.configure(outcomes={ref: status})
        bucket = make_bucket()
        make_step(bucket, make_action(st2_action_ref=ref), parameters=parameters or {}, **step)
        run = make_run(bucket)
        make_execution(run)
        launch.launch_due(client=st2)
        run.refresh_from_db()
        return run

    return start


def poll_again(st2):
    ActionExecution.objects.filter(due_at__isnull=False).update(due_at=timezone.now())
    poll.poll_due(client=st2)
    return ActionExecution.objects.get()


def deletes(sandbox):
    return [path for method, path in sandbox.requests if method == "DELETE"]


def test_an_open_inquiry_is_canceled_once_and_its_run_ends_as_canceled(sandbox, st2, launched):
    run = launched("core.ask", "pending")
    cancel.cancel(run, stop=BucketRun.Stop.CANCEL, **OPERATOR)

    for _ in range(3):
        row = poll_again(st2)
        cancel.apply_stops()

    run.refresh_from_db()
    assert run.status == "canceled"
    assert run.reason.startswith("wrong host")
    assert row.status == "skipped"
    assert f"{row.st2_execution_id} stays open in StackStorm" in row.error_message
    assert len(deletes(sandbox)) == 1


def test_an_inquiry_without_an_answer_in_time_is_a_timeout(sandbox, st2, launched, settings):
    settings.ST2_INQUIRY_TIMEOUT = 60
    run = launched("core.ask", "pending", max_attempts=2)
    poll_again(st2)
    ActionExecution.objects.update(asking_since=timezone.now() - datetime.timedelta(seconds=61))

    row = poll_again(st2)
    poll_again(st2)

    run.refresh_from_db()
    assert (run.status, row.status) == ("timeout", "timeout")
    assert row.error_message.startswith("not answered within 60 s (ST2_INQUIRY_TIMEOUT); ")
    assert "the command may still run" not in row.error_message
    assert len(deletes(sandbox)) == 1
    assert run.executions.count() == 1, "no second attempt while the first inquiry is open"


def test_an_execution_that_is_canceling_is_not_canceled_again(sandbox, st2, launched):
    run = launched("core.local", "canceling", parameters={"cmd": "true"})
    cancel.cancel(run, stop=BucketRun.Stop.CANCEL, **OPERATOR)

    row = poll_again(st2)

    assert (row.status, deletes(sandbox)) == ("running", [])


def test_an_execution_canceled_at_once_is_settled_by_the_same_poll(sandbox, st2, launched):
    run = launched("core.local", "requested", parameters={"cmd": "true"})
    cancel.cancel(run, stop=BucketRun.Stop.CANCEL, **OPERATOR)

    row = poll_again(st2)

    run.refresh_from_db()
    assert (row.status, run.status, run.reason) == ("skipped", "canceled", "wrong host")


def test_a_step_at_its_deadline_is_a_timeout_also_after_a_stop(sandbox, st2, launched):
    run = launched("core.local", "running", parameters={"cmd": "true"}, timeout_seconds=30)
    cancel.cancel(run, stop=BucketRun.Stop.STOP, **OPERATOR)
    ActionExecution.objects.update(running_at=timezone.now() - datetime.timedelta(seconds=31))
    poll_again(st2)

    until = timezone.now() + datetime.timedelta(seconds=60)
    while (row := poll_again(st2)).status == "running" and timezone.now() < until:
        continue

    run.refresh_from_db()
    assert (row.status, run.status) == ("timeout", "timeout")


def test_a_deleted_ghost_with_an_open_inquiry_is_adopted(sandbox, st2, launched):
    """StackStorm never cancels an open inquiry, so the look-up must not wait for that."""
    launched("core.ask", "pending")
    row = ActionExecution.objects.get()
    ActionExecution.objects.update(
        status="launching",
        st2_execution_id=None,
        st2_ghost_ids=[row.st2_execution_id],
        unanswered_launches=1,
        lookup_until=timezone.now(),
        due_at=timezone.now(),
    )

    lookup.look_up_due(client=st2)

    found = ActionExecution.objects.get()
    assert (found.status, found.st2_execution_id) == ("running", row.st2_execution_id)
    assert deletes(sandbox) == []
