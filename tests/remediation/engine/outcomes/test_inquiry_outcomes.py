"""How inquiries change the outcome of their execution, with recorded StackStorm data."""

from typing import Any

import pytest
import responses
from django.utils import timezone

from remediation.engine import cancel
from remediation.engine.outcomes import poll, poll_hints, stream
from remediation.engine.outcomes.stored_inquiries import stored_inquiry
from remediation.models import ActionExecution, BucketRun, Cause
from tests.remediation.engine.outcomes.test_inquiries import (
    ASK,
    PAUSED,
    WORKFLOW,
    past,
    poll_now,
    running_step,
    running_workflow,
)
from tests.remediation.engine.recorded import RecordedStackStorm

pytestmark = pytest.mark.django_db

EXPIRED_WORKFLOW = "6b0ab350f1d0b61be1aa805b"
EXPIRED = ("inquiry-ttl-expired-workflow", "inquiry-ttl-expired-workflow-children")
EXPIRED_REASON = "the inquiry 6b0ab354f61463f7f50ce641 (task ask) expired unanswered after 1 minute"
CANCELED = ("inquiry-workflow-canceled", "inquiry-workflow-canceled-children")
OPEN_ID = "6b0ab1b2f61463f7f50ce0fb"
LEFT_OPEN = f"the inquiry {OPEN_ID} stays open in StackStorm; an answer has no effect any more"
CANCELED_WORKFLOW = "6b0ab1aff1d0b61be1aa7fd6"
OPERATOR: dict[str, Any] = {
    "reason": "wrong host",
    "cause": Cause(at=timezone.now(), actor="ann", request_id="call-9"),
}


@pytest.fixture
def stackstorm():
    with responses.RequestsMock(assert_all_requests_are_fired=False) as mock:
        yield RecordedStackStorm(mock)


def settle_by_poll(stackstorm, row):
    poll_now(stackstorm, row)


def settle_by_stream(stackstorm, row):
    stream.apply_events([stackstorm.client.execution(row.st2_execution_id)])
    poll.poll_due(client=stackstorm.client)
    row.refresh_from_db()


def settle_by_hint(stackstorm, row):
    ActionExecution.objects.update(due_at=timezone.now() + (timezone.now() - past(hours=1)))
    assert poll_hints.hint(st2_execution_id=row.st2_execution_id, trace_tag="") == "accepted"
    poll.poll_due(client=stackstorm.client)
    row.refresh_from_db()


by_each_path = pytest.mark.parametrize("settle", [settle_by_poll, settle_by_stream, settle_by_hint])


@by_each_path
def test_a_workflow_whose_inquiry_expired_is_a_timeout(stackstorm, settle):
    """StackStorm reports ``succeeded`` although the task after the inquiry did not run."""
    stackstorm.show(*EXPIRED)
    row = running_workflow(EXPIRED_WORKFLOW)

    settle(stackstorm, row)

    assert (row.status, row.error_message) == ("timeout", EXPIRED_REASON)
    assert row.st2_action_execution_status == "succeeded"
    run = BucketRun.objects.get()
    assert run.status == "timeout"
    assert EXPIRED_REASON in run.reason
    ask = row.tasks.get(name="ask")
    assert (ask.status, ask.error_message) == ("timeout", EXPIRED_REASON)


@by_each_path
def test_a_step_workflow_whose_inquiry_expired_is_a_timeout(stackstorm, settle):
    stackstorm.show(*EXPIRED)
    row = running_step(EXPIRED_WORKFLOW, "clienttest.ask_ttl_wf", step_order=1)

    settle(stackstorm, row)

    assert (row.status, row.error_message) == ("timeout", EXPIRED_REASON)
    assert row.tasks.count() == 0, (
        "a step's workflow tasks would take the step_order of the bucket's steps"
    )


def test_an_expired_inquiry_step_has_the_expiry_as_reason(stackstorm):
    stackstorm.show("inquiry-ttl-expired-plain")
    row = running_step("6b0ab34ff1d0b61be1aa8058", "core.ask")

    settle_by_poll(stackstorm, row)

    assert (row.status, row.error_message) == (
        "timeout",
        "the inquiry 6b0ab34ff1d0b61be1aa8058 expired unanswered after 1 minute",
    )


@by_each_path
def test_an_answered_workflow_is_a_success(stackstorm, settle):
    stackstorm.show(*PAUSED, "inquiry-workflow-after-answer", "inquiry-in-workflow-answered")
    row = running_workflow(WORKFLOW)

    settle(stackstorm, row)

    assert (row.status, row.error_message, row.inquiries) == ("success", "", [])
    assert BucketRun.objects.get().status == "success"


def test_an_answered_inquiry_is_removed(stackstorm):
    stackstorm.show(*PAUSED)
    row = running_workflow(WORKFLOW)
    settle_by_poll(stackstorm, row)
    stackstorm.show("inquiry-workflow-after-answer", "inquiry-in-workflow-answered")

    settle_by_poll(stackstorm, row)

    assert (row.status, row.inquiries) == ("success", [])


def test_a_workflow_whose_nested_inquiry_expired_is_a_timeout(stackstorm):
    stackstorm.show("inquiry-nested-paused", "inquiry-nested-children")
    stackstorm.show("inquiry-nested-after-answer")
    stackstorm.shown["6b0ab35ef61463f7f50ce664"]["status"] = "succeeded"
    stackstorm.shown["6b0ab363f61463f7f50ce685"]["status"] = "timeout"
    row = running_workflow("6b0ab35df1d0b61be1aa805e")

    settle_by_poll(stackstorm, row)

    assert row.status == "timeout"
    assert row.error_message == (
        "the inquiry 6b0ab363f61463f7f50ce685 (task ask) expired unanswered after 60 minutes"
    )


@by_each_path
def test_a_canceled_workflow_names_its_open_inquiry(stackstorm, settle):
    stackstorm.show(*PAUSED)
    row = running_workflow(CANCELED_WORKFLOW)
    cancel.cancel(row.run, stop=BucketRun.Stop.CANCEL, **OPERATOR)
    stackstorm.show(*CANCELED)

    settle(stackstorm, row)

    run = BucketRun.objects.get()
    assert (run.status, run.reason) == ("canceled", f"wrong host; {LEFT_OPEN}")
    assert row.status == "skipped"
    assert row.error_message.endswith(LEFT_OPEN)
    assert [one["id"] for one in row.inquiries] == [OPEN_ID]
    ask = row.tasks.get(name="ask")
    assert (ask.status, ask.error_message) == ("skipped", LEFT_OPEN)


def test_a_paused_workflow_is_canceled_by_one_request_and_settled_at_once(stackstorm):
    stackstorm.show(*CANCELED)
    stackstorm.shown[CANCELED_WORKFLOW]["status"] = "paused"
    stackstorm.answer_delete("inquiry-workflow-delete-paused", then_show=True)
    row = running_workflow(CANCELED_WORKFLOW)
    cancel.cancel(row.run, stop=BucketRun.Stop.CANCEL, **OPERATOR)

    requests = poll_now(stackstorm, row)

    assert [method for method, _ in requests].count("DELETE") == 1
    run = BucketRun.objects.get()
    assert (run.status, run.reason) == ("canceled", f"wrong host; {LEFT_OPEN}")


def test_a_workflow_without_an_answer_in_time_is_canceled_and_times_out(stackstorm, settings):
    settings.ST2_INQUIRY_TIMEOUT = 600
    stackstorm.show(*CANCELED)
    stackstorm.shown[CANCELED_WORKFLOW]["status"] = "paused"
    stackstorm.answer_delete("inquiry-workflow-delete-paused", then_show=True)
    row = running_workflow(CANCELED_WORKFLOW)
    poll_now(stackstorm, row)
    ActionExecution.objects.update(asking_since=past(minutes=11))

    poll_now(stackstorm, row)

    assert (row.status, row.error_message) == (
        "timeout",
        f"not answered within 600 s (ST2_INQUIRY_TIMEOUT); {LEFT_OPEN}",
    )


def test_a_workflow_without_an_answer_times_out_after_its_other_branch_ends(stackstorm, settings):
    settings.ST2_INQUIRY_TIMEOUT = 600
    st2_id, ask = "6b0ab469f1d0b61be1aa808d", "6b0ab46cf61463f7f50ce8bb"
    stackstorm.show(
        "inquiry-workflow-running-beside-ask", "inquiry-workflow-running-beside-ask-children"
    )
    stackstorm.shown[ask]["runner"] = {"name": "inquirer"}
    stackstorm.answer_delete("inquiry-workflow-running-delete", then_show=True)
    row = running_workflow(
        st2_id,
        running_at=past(minutes=12),
        asking_since=past(minutes=11),
        inquiries=[stored_inquiry(ask)],
    )

    poll_now(stackstorm, row)
    poll_now(stackstorm, row)
    assert row.st2_action_execution_status == "canceling"
    stackstorm.show("inquiry-workflow-running-delete-after")
    poll_now(stackstorm, row)

    assert (row.status, row.error_message) == (
        "timeout",
        f"not answered within 600 s (ST2_INQUIRY_TIMEOUT); the inquiry {ask} stays open in"
        " StackStorm; an answer has no effect any more",
    )


def test_an_inquiry_step_stays_open_after_a_cancel(stackstorm):
    stackstorm.show("inquiry-plain-pending")
    stackstorm.answer_delete("inquiry-plain-delete-200-faultstring")
    row = running_step("6b0ab172f1d0b61be1aa7fca", "core.ask")
    cancel.cancel(row.run, stop=BucketRun.Stop.CANCEL, **OPERATOR)

    poll_now(stackstorm, row)

    run = BucketRun.objects.get()
    assert run.status == "canceled"
    assert run.reason.startswith("wrong host; the inquiry 6b0ab172f1d0b61be1aa7fca stays open")
    assert row.inquiries[0]["schema"]["properties"]["approve"]


def test_a_canceled_run_that_was_unknown_keeps_the_reason_of_its_cancel(stackstorm):
    stackstorm.show(*PAUSED)
    row = running_workflow(CANCELED_WORKFLOW)
    cancel.cancel(row.run, stop=BucketRun.Stop.CANCEL, **OPERATOR)
    ActionExecution.objects.update(running_at=past(hours=2))
    stackstorm.shown.clear()
    poll_now(stackstorm, row)
    assert row.status == "unknown"
    stackstorm.show(*CANCELED)

    settle_by_hint(stackstorm, row)

    assert BucketRun.objects.get().reason == f"wrong host; {LEFT_OPEN}"


def test_a_failed_workflow_names_its_open_inquiry(stackstorm):
    stackstorm.show(*PAUSED)
    stackstorm.shown[WORKFLOW]["status"] = "failed"
    row = running_workflow(WORKFLOW)

    settle_by_poll(stackstorm, row)

    assert row.status == "failure"
    assert f"the inquiry {ASK} stays open in StackStorm" in row.error_message
