"""What each verb does, and what it says when it cannot."""

import pytest

from remediation.admin.operations import operation_url
from remediation.models import ActionExecution, Alert, BucketRun, Transition
from tests.factories import make_alert, make_execution, make_run
from tests.remediation.admin.forms import page
from tests.remediation.admin.scenarios import (
    buttons_of,
    failed_run,
    messages_of,
    running_run,
    two_step_bucket,
    unknown_execution,
)


@pytest.mark.parametrize(
    ("name", "stop"), [("stop", BucketRun.Stop.STOP), ("cancel", BucketRun.Stop.CANCEL)]
)
def test_a_run_is_stopped_with_a_reason(operator, name, stop):
    run = running_run()

    response = operator.post(
        operation_url(BucketRun, name, run.pk), {"reason": " wrong host "}, follow=True
    )

    run.refresh_from_db()
    assert (run.stop, run.reason, run.status) == (stop, "wrong host", "running")
    assert response.redirect_chain[-1][0] == page(BucketRun, "change", run.pk)
    assert messages_of(response) == [f"Run {run} ends when what is in flight has ended."]


def test_a_run_that_has_not_begun_ends_at_once(operator):
    run = make_run()
    make_execution(run)

    response = operator.post(
        operation_url(BucketRun, "stop", run.pk), {"reason": "no"}, follow=True
    )

    assert messages_of(response) == [f"Run {run} is canceled: nothing was in flight."]


@pytest.mark.parametrize("reason", ["", "  ", "x" * 2_001])
def test_a_stop_without_a_fit_reason_is_asked_again(operator, reason):
    run = running_run()

    response = operator.post(operation_url(BucketRun, "cancel", run.pk), {"reason": reason})

    assert response.status_code == 200
    assert response.context["form"].errors["reason"]
    run.refresh_from_db()
    assert run.stop == ""


def test_the_page_says_that_canceled_is_not_stopped(operator):
    content = operator.get(operation_url(BucketRun, "cancel", running_run().pk)).content.decode()

    assert "Canceled in StackStorm does not mean that the command stopped" in content


def test_a_retry_leads_to_the_new_run(operator):
    run = failed_run()

    response = operator.post(operation_url(BucketRun, "retry_from_failed", run.pk), follow=True)

    retry = BucketRun.objects.get(retry_of=run)
    assert response.redirect_chain[-1][0] == page(BucketRun, "change", retry.pk)
    assert messages_of(response) == [f"Run {retry} is made and starts as soon as a worker is free."]


@pytest.mark.parametrize(
    ("make", "model", "name", "answers", "message"),
    [
        (failed_run, BucketRun, "stop", {"reason": "no"}, "nothing is left to stop"),
        (running_run, BucketRun, "retry_from_start", {}, "wait for its end or cancel it"),
        (running_run, BucketRun, "retry_from_failed", {}, "has no failed step"),
        (lambda: make_alert({"alertname": "Other"}), Alert, "match_again", {}, "No bucket matches"),
        (
            lambda: failed_run().executions.get(),
            ActionExecution,
            "set_outcome",
            {"status": "success", "reason": "I looked"},
            "only unknown is judged",
        ),
    ],
)
def test_what_cannot_be_done_is_said(operator, make, model, name, answers, message):
    row = make()
    before = Transition.objects.count()

    response = operator.post(operation_url(model, name, row.pk), answers, follow=True)

    (text,) = messages_of(response)
    assert message in text
    assert response.redirect_chain[-1][0] == page(model, "change", row.pk)
    assert Transition.objects.count() == before


def test_of_two_clicks_on_retry_one_wins(operator):
    address = operation_url(BucketRun, "retry_from_start", failed_run().pk)

    operator.post(address)
    response = operator.post(address, follow=True)

    assert "wait for its end or cancel it" in messages_of(response)[-1]
    assert BucketRun.objects.count() == 2


def test_one_bucket_that_matches_again_leads_to_its_run(operator):
    alert, bucket = make_alert(), two_step_bucket()

    response = operator.post(operation_url(Alert, "match_again", alert.pk), follow=True)

    run = BucketRun.objects.get()
    assert (run.bucket, run.actor) == (bucket, "maria")
    assert response.redirect_chain[-1][0] == page(BucketRun, "change", run.pk)


def test_several_that_match_again_stay_with_the_alert(operator):
    alert = make_alert()
    two_step_bucket(continue_matching=True)
    two_step_bucket()

    response = operator.post(operation_url(Alert, "match_again", alert.pk), follow=True)

    assert "2 runs are made" in messages_of(response)[0]
    assert response.redirect_chain[-1][0] == page(Alert, "change", alert.pk)


def test_a_bucket_is_chosen_and_run_by_hand(operator):
    alert = make_alert({"alertname": "Other"})
    enabled, disabled = two_step_bucket(), two_step_bucket(is_enabled=False)
    address = operation_url(Alert, "run_by_hand", alert.pk)

    offered = operator.get(address).context["form"].fields["bucket"].queryset
    refused = operator.post(address, {"bucket": disabled.pk})
    operator.post(address, {"bucket": enabled.pk})

    assert list(offered) == [enabled]
    assert refused.context["form"].errors["bucket"]
    run = BucketRun.objects.get()
    assert (run.bucket, run.trigger, run.alert) == (enabled, "manual", alert)


@pytest.mark.parametrize("name", ["match_again", "run_by_hand"])
def test_a_resolved_alert_is_told_of_before_something_starts(operator, name):
    content = operator.get(operation_url(Alert, name, make_alert(status="resolved").pk)).content

    assert b"The alert has resolved: is it still needed?" in content
    assert b"has resolved" not in operator.get(operation_url(Alert, name, make_alert().pk)).content


@pytest.mark.parametrize("status", ["success", "failure", "timeout", "skipped"])
def test_a_persons_word_settles_what_was_unknown(operator, status):
    execution = unknown_execution()
    answers = {"status": status, "reason": "the log says so"}

    response = operator.post(
        operation_url(ActionExecution, "set_outcome", execution.pk), answers, follow=True
    )

    execution.refresh_from_db()
    assert execution.status == status
    assert execution.error_message == "judged by maria: the log says so"
    assert execution.run.status == status
    assert response.redirect_chain[-1][0] == page(BucketRun, "change", execution.run_id)


@pytest.mark.parametrize(
    ("answers", "field"),
    [
        ({"reason": "I looked"}, "status"),
        ({"status": "running", "reason": "I looked"}, "status"),
        ({"status": "unknown", "reason": "I looked"}, "status"),
        ({"status": "success", "reason": " "}, "reason"),
    ],
)
def test_a_judgment_needs_an_end_and_a_reason(operator, answers, field):
    execution = unknown_execution()

    response = operator.post(operation_url(ActionExecution, "set_outcome", execution.pk), answers)

    assert list(response.context["form"].errors) == [field]
    execution.refresh_from_db()
    assert execution.status == "unknown"


def test_a_judge_is_told_what_would_start_by_itself(operator):
    address = operation_url(ActionExecution, "set_outcome", unknown_execution(max_attempts=3).pk)
    last = operation_url(ActionExecution, "set_outcome", unknown_execution().pk)

    assert b"Attempt 1 of 3: after failure or timeout the next" in operator.get(address).content
    assert b"the next attempt starts" not in operator.get(last).content


def test_a_judge_is_told_that_a_stopped_run_starts_nothing(operator):
    execution = unknown_execution(max_attempts=3)
    BucketRun.objects.filter(pk=execution.run_id).update(stop="stop")

    content = operator.get(operation_url(ActionExecution, "set_outcome", execution.pk)).content

    assert b"nothing more of it starts, whatever you say" in content


def test_a_task_of_a_workflow_is_not_judged(operator):
    workflow = make_execution(step_order=0, status="running")
    task = make_execution(workflow.run, parent=workflow, status="unknown")
    answers = {"status": "success", "reason": "I looked"}

    response = operator.post(
        operation_url(ActionExecution, "set_outcome", task.pk), answers, follow=True
    )

    assert "task of a workflow" in messages_of(response)[0]
    assert buttons_of(operator, task) == []


def test_a_stopped_run_can_still_be_canceled_and_a_canceled_one_no_more(operator):
    run = running_run()
    offered = []
    for name in ("stop", "cancel"):
        operator.post(operation_url(BucketRun, name, run.pk), {"reason": "no"})
        offered.append(len(buttons_of(operator, run)))

    assert offered == [1, 0]
