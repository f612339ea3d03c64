"""What people start: retries, runs by hand, matches anew, and their word on what is unknown."""

import pytest
from django.utils import timezone

from remediation.engine.launching import parameters
from remediation.engine.operations import errors, retry, set_outcome
from remediation.engine.outcomes.outcome import Outcome
from remediation.engine.outcomes.settle import settle
from remediation.models import ActionExecution, BucketRun, Cause, Transition
from tests.factories import (
    make_action,
    make_alert,
    make_bucket,
    make_execution,
    make_run,
    make_step,
)

pytestmark = pytest.mark.django_db

Status = ActionExecution.Status
ANN = Cause(at=timezone.now(), actor="ann", request_id="call-9")


def ended_run(*outcomes, alert=None, bucket=None):
    """Return a run of three steps a, b, c whose executions ended with these outcomes."""
    if bucket is None:
        bucket = make_bucket()
        for name in "abc":
            make_step(bucket, name=name)
    run = make_run(bucket, alert)
    make_execution(run)
    run.mark_running(cause=Cause())
    finish(run, *outcomes)
    return run


def finish(run, *outcomes):
    for outcome in outcomes:
        execution = run.executions.get(status=Status.PENDING)
        execution.claim(cause=Cause(), lease_until=timezone.now())
        settle(execution, outcome, cause=Cause())
    run.refresh_from_db()


def states(run):
    rows = run.executions.order_by("step_order", "attempt")
    return [f"{row.name}:{row.status}" for row in rows]


DONE = Outcome(Status.SUCCESS, values={"st2_result": {"stdout": "5"}})
FAILED = Outcome.failure("broken")


def test_a_retry_from_the_failed_step_keeps_what_was_done():
    failed = ended_run(DONE, FAILED)

    run = retry.retry_from_failed(failed, cause=ANN)

    assert (run.number, run.trigger, run.retry_of, run.actor) == (2, "retry", failed, "ann")
    assert run.plan == failed.plan
    assert run.request_id == failed.request_id
    assert states(run) == ["a:skipped", "b:pending"]
    kept = run.executions.get(step_order=1)
    assert (kept.error_message, kept.done_in.run) == (f"done in run {failed.pk}", failed)
    run.mark_running(cause=Cause())
    finish(run, DONE, DONE)
    assert (run.status, states(run)) == ("success", ["a:skipped", "b:success", "c:success"])
    failed.refresh_from_db()
    assert failed.status == "failure"


def bucket_whose_second_step_reads_the_first():
    bucket = make_bucket()
    make_step(bucket, name="a")
    reads = {"text": "{{ steps.a.status }} {{ steps.a.result.stdout }}"}
    make_step(bucket, make_action(st2_runner="noop"), name="b", parameters=reads)
    return bucket


def rendered_text(run):
    return parameters.render(run.executions.get(status=Status.PENDING)).sent["text"]


def test_earlier_results_are_read_from_the_run_that_made_them():
    failed = ended_run(DONE, FAILED, bucket=bucket_whose_second_step_reads_the_first())

    run = retry.retry_from_failed(failed, cause=ANN)

    assert rendered_text(run) == "success 5"


def test_a_retry_of_a_retry_reads_on():
    failed = ended_run(DONE, FAILED, bucket=bucket_whose_second_step_reads_the_first())
    run = retry.retry_from_failed(failed, cause=ANN)
    run.mark_running(cause=Cause())
    finish(run, FAILED)

    again = retry.retry_from_failed(run, cause=ANN)

    assert rendered_text(again) == "success 5"


def test_a_retry_from_the_start_takes_the_bucket_as_it_is_now():
    failed = ended_run(FAILED)
    failed.bucket.steps.filter(name="c").delete()

    run = retry.retry_from_start(failed, cause=ANN)

    assert states(run) == ["a:pending"]
    assert [step["name"] for step in run.plan.steps] == ["a", "b"]


def test_the_actor_and_the_call_are_on_record():
    run = retry.retry_from_start(ended_run(FAILED), cause=ANN)

    first = Transition.objects.filter(subject_type="run", subject_id=run.pk).first()
    assert (first.actor, first.cause_request_id, first.request_id) == (
        "ann",
        "call-9",
        run.request_id,
    )


def test_there_is_nothing_to_repeat_where_nothing_failed():
    with pytest.raises(errors.NotPossible, match="from the start"):
        retry.retry_from_failed(ended_run(DONE, DONE, DONE), cause=ANN)


@pytest.mark.parametrize("outcomes", [(), (DONE,), (Outcome.unknown("no answer"),)])
def test_while_a_run_is_open_or_unknown_no_other_is_started(outcomes):
    run = ended_run(*outcomes)

    for start in (
        lambda: retry.retry_from_start(run, cause=ANN),
        lambda: retry.run_by_hand(run.bucket, run.alert, cause=ANN),
        lambda: retry.match_again(run.alert, cause=ANN),
    ):
        with pytest.raises(errors.NotPossible, match=f"Run #{run.pk}"):
            start()
    assert BucketRun.objects.count() == 1


def test_a_run_by_hand_needs_no_match_and_leaves_number_one_free():
    bucket = make_step(make_bucket(alert_name_pattern="SomethingElse")).bucket

    run = retry.run_by_hand(bucket, make_alert(), cause=ANN)

    assert (run.number, run.trigger, run.status) == (2, "manual", "pending")
    assert run.executions.count() == 1


def test_a_bucket_that_cannot_be_carried_out_is_not_started():
    with pytest.raises(errors.NotPossible, match="no steps"):
        retry.run_by_hand(make_bucket(), make_alert(), cause=ANN)


def test_matching_again_starts_what_takes_the_alert_now():
    alert = make_alert()
    for name, priority, continues in (("a", 1, True), ("b", 2, False), ("c", 3, False)):
        make_step(make_bucket(name=name, priority=priority, continue_matching=continues))

    runs = retry.match_again(alert, cause=ANN)

    assert [run.bucket.name for run in runs] == ["a", "b"]


def test_matching_again_starts_all_or_none():
    alert = make_alert()
    first = make_step(make_bucket(priority=1, continue_matching=True)).bucket
    second = make_step(make_bucket(priority=2)).bucket
    make_run(second, alert)

    with pytest.raises(errors.NotPossible):
        retry.match_again(alert, cause=ANN)

    assert not first.runs.exists()


def test_matching_again_says_when_nothing_matches():
    with pytest.raises(errors.NotPossible, match="No bucket matches"):
        retry.match_again(make_alert(), cause=ANN)


def test_a_persons_word_settles_what_is_unknown_and_the_run_goes_on():
    run = ended_run(DONE, Outcome.unknown("no answer"))
    execution = run.executions.get(status="unknown")

    set_outcome.set_outcome(execution, Status.SUCCESS, reason="the log says so", cause=ANN)

    run.refresh_from_db()
    assert run.status == "running"
    assert states(run) == ["a:success", "b:success", "c:pending"]
    move = Transition.objects.get(subject_id=execution.pk, to_status="success")
    assert (move.actor, move.reason) == ("ann", "judged by ann: the log says so")


@pytest.mark.parametrize(
    ("status", "reason", "message"),
    [
        (Status.RUNNING, "it runs", "status"),
        (Status.UNKNOWN, "who knows", "status"),
        (Status.SUCCESS, " ", "reason"),
    ],
)
def test_a_word_needs_an_end_and_a_reason(status, reason, message):
    run = ended_run(Outcome.unknown("no answer"))

    with pytest.raises(errors.NotPossible, match=message):
        set_outcome.set_outcome(run.executions.get(), status, reason=reason, cause=ANN)


def test_a_task_of_a_workflow_is_not_judged_by_itself():
    parent = ended_run(Outcome.unknown("no answer")).executions.get()
    task = make_execution(parent.run, parent=parent, attempt=2, status="unknown")

    with pytest.raises(errors.NotPossible, match=f"judge execution #{parent.pk}"):
        set_outcome.set_outcome(task, Status.SUCCESS, reason="I saw it", cause=ANN)


def test_only_what_is_unknown_is_judged():
    run = ended_run(FAILED)

    with pytest.raises(errors.NotPossible, match="only unknown"):
        set_outcome.set_outcome(
            run.executions.get(step_order=1), Status.SUCCESS, reason="no", cause=ANN
        )


def test_a_disabled_bucket_is_not_started():
    bucket = make_step(make_bucket(is_enabled=False)).bucket

    with pytest.raises(errors.NotPossible, match="enable it first"):
        retry.run_by_hand(bucket, make_alert(), cause=ANN)
