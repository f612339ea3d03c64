"""The effect of each operation, and the message if it is not possible."""

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

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(
    ("name", "stop"), [("stop", BucketRun.Stop.STOP), ("cancel", BucketRun.Stop.CANCEL)]
)
def test_run_is_stopped_with_a_reason(operator, name, stop):
    run = running_run()

    response = operator.post(
        operation_url(BucketRun, name, run.pk), {"reason": " wrong host "}, follow=True
    )

    run.refresh_from_db()
    assert (run.stop, run.reason, run.status) == (stop, "wrong host", "running")
    assert response.redirect_chain[-1][0] == page(BucketRun, "change", run.pk)
    assert messages_of(response) == [f"Run {run} will end after its current step."]


def test_stopped_run_that_has_not_started_ends_at_once(operator):
    run = make_run()
    make_execution(run)

    response = operator.post(
        operation_url(BucketRun, "stop", run.pk), {"reason": "no"}, follow=True
    )

    assert messages_of(response) == [f"Run {run} is canceled: no step was running."]


@pytest.mark.parametrize("reason", ["", "  ", "x" * 2_001])
def test_cancel_needs_a_reason_of_limited_length(operator, reason):
    run = running_run()

    response = operator.post(operation_url(BucketRun, "cancel", run.pk), {"reason": reason})

    assert response.status_code == 200
    assert response.context["form"].errors["reason"]
    run.refresh_from_db()
    assert run.stop == ""


def test_cancel_page_warns_that_commands_may_still_run(operator):
    content = operator.get(operation_url(BucketRun, "cancel", running_run().pk)).content.decode()

    assert "Canceled in StackStorm does not mean that the command stopped" in content


def test_retry_redirects_to_the_new_run(operator):
    run = failed_run()

    response = operator.post(operation_url(BucketRun, "retry_from_failed", run.pk), follow=True)

    retry = BucketRun.objects.get(retry_of=run)
    assert response.redirect_chain[-1][0] == page(BucketRun, "change", retry.pk)
    assert messages_of(response) == [f"Created run {retry}. It starts when a worker is free."]


@pytest.mark.parametrize(
    ("make", "model", "name", "data", "message"),
    [
        (failed_run, BucketRun, "stop", {"reason": "no"}, "nothing is left to stop"),
        (running_run, BucketRun, "retry_from_start", {}, "wait until it ends, or cancel it"),
        (running_run, BucketRun, "retry_from_failed", {}, "wait until it ends, or cancel it"),
        (lambda: make_alert({"alertname": "Other"}), Alert, "match_again", {}, "No bucket matches"),
        (
            lambda: failed_run().executions.get(),
            ActionExecution,
            "set_outcome",
            {"status": "success", "reason": "I looked"},
            "only an unknown outcome can be set",
        ),
    ],
)
def test_impossible_operation_shows_the_reason(operator, make, model, name, data, message):
    row = make()
    before = Transition.objects.count()

    response = operator.post(operation_url(model, name, row.pk), data, follow=True)

    (text,) = messages_of(response)
    assert message in text
    assert response.redirect_chain[-1][0] == page(model, "change", row.pk)
    assert Transition.objects.count() == before


def test_second_retry_of_the_same_run_is_rejected(operator):
    url = operation_url(BucketRun, "retry_from_start", failed_run().pk)

    operator.post(url)
    response = operator.post(url, follow=True)

    assert "wait until it ends, or cancel it" in messages_of(response)[-1]
    assert BucketRun.objects.count() == 2


def test_match_again_with_one_bucket_redirects_to_its_run(operator):
    alert, bucket = make_alert(), two_step_bucket()

    response = operator.post(operation_url(Alert, "match_again", alert.pk), follow=True)

    run = BucketRun.objects.get()
    assert (run.bucket, run.actor) == (bucket, "maria")
    assert response.redirect_chain[-1][0] == page(BucketRun, "change", run.pk)


def test_match_again_with_several_buckets_redirects_to_the_alert(operator):
    alert = make_alert()
    two_step_bucket(continue_matching=True)
    two_step_bucket()

    response = operator.post(operation_url(Alert, "match_again", alert.pk), follow=True)

    assert "Created 2 runs" in messages_of(response)[0]
    assert response.redirect_chain[-1][0] == page(Alert, "change", alert.pk)


def test_enabled_bucket_is_run_manually(operator):
    alert = make_alert({"alertname": "Other"})
    enabled, disabled = two_step_bucket(), two_step_bucket(is_enabled=False)
    url = operation_url(Alert, "run_by_hand", alert.pk)

    offered = operator.get(url).context["form"].fields["bucket"].queryset
    refused = operator.post(url, {"bucket": disabled.pk})
    operator.post(url, {"bucket": enabled.pk})

    assert list(offered) == [enabled]
    assert refused.context["form"].errors["bucket"]
    run = BucketRun.objects.get()
    assert (run.bucket, run.trigger, run.alert) == (enabled, "manual", alert)


@pytest.mark.parametrize("name", ["match_again", "run_by_hand"])
def test_operation_on_a_resolved_alert_shows_a_warning(operator, name):
    content = operator.get(operation_url(Alert, name, make_alert(status="resolved").pk)).content

    assert b"The alert has resolved. Check that a run is still needed." in content
    assert b"has resolved" not in operator.get(operation_url(Alert, name, make_alert().pk)).content


@pytest.mark.parametrize("status", ["success", "failure", "timeout", "skipped"])
def test_set_outcome_settles_an_unknown_execution(operator, status):
    execution = unknown_execution()
    data = {"status": status, "reason": "the log says so"}

    response = operator.post(
        operation_url(ActionExecution, "set_outcome", execution.pk), data, follow=True
    )

    execution.refresh_from_db()
    assert execution.status == status
    assert execution.error_message == "outcome set by maria: the log says so"
    assert execution.run.status == status
    assert response.redirect_chain[-1][0] == page(BucketRun, "change", execution.run_id)


@pytest.mark.parametrize(
    ("data", "field"),
    [
        ({"reason": "I looked"}, "status"),
        ({"status": "running", "reason": "I looked"}, "status"),
        ({"status": "unknown", "reason": "I looked"}, "status"),
        ({"status": "success", "reason": " "}, "reason"),
    ],
)
def test_set_outcome_needs_a_final_status_and_a_reason(operator, data, field):
    execution = unknown_execution()

    response = operator.post(operation_url(ActionExecution, "set_outcome", execution.pk), data)

    assert list(response.context["form"].errors) == [field]
    execution.refresh_from_db()
    assert execution.status == "unknown"


def test_set_outcome_warns_about_the_next_attempt(operator):
    url = operation_url(ActionExecution, "set_outcome", unknown_execution(max_attempts=3).pk)
    last = operation_url(ActionExecution, "set_outcome", unknown_execution().pk)

    assert b"Attempt 1 of 3: after failure or timeout the next" in operator.get(url).content
    assert b"the next attempt starts" not in operator.get(last).content


def test_set_outcome_warns_that_a_stopping_run_starts_no_step(operator):
    execution = unknown_execution(max_attempts=3)
    BucketRun.objects.filter(pk=execution.run_id).update(stop="stop")

    content = operator.get(operation_url(ActionExecution, "set_outcome", execution.pk)).content

    assert b"it starts no other step, whatever the outcome" in content


def test_outcome_of_a_workflow_task_cannot_be_set(operator):
    workflow = make_execution(step_order=0, status="running")
    task = make_execution(workflow.run, parent=workflow, status="unknown")
    data = {"status": "success", "reason": "I looked"}

    response = operator.post(
        operation_url(ActionExecution, "set_outcome", task.pk), data, follow=True
    )

    assert "task of a workflow" in messages_of(response)[0]
    assert buttons_of(operator, task) == []


def test_stopping_run_offers_cancel_and_canceling_run_offers_nothing(operator):
    run = running_run()
    button_counts = []
    for name in ("stop", "cancel"):
        operator.post(operation_url(BucketRun, name, run.pk), {"reason": "no"})
        button_counts.append(len(buttons_of(operator, run)))

    assert button_counts == [1, 0]
