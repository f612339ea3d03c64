"""Retries, manual runs and matching again."""

import pytest

from remediation.engine.launching import parameters
from remediation.engine.operations import errors, retry
from remediation.engine.outcomes.outcome import Outcome
from remediation.models import ActionExecution, BucketRun, Cause, Transition
from tests.factories import (
    make_action,
    make_alert,
    make_bucket,
    make_run,
    make_step,
)
from tests.remediation.engine.operations.ended_runs import (
    ANN,
    DONE,
    FAILED,
    ended_run,
    finish,
    step_statuses,
)

pytestmark = pytest.mark.django_db

Status = ActionExecution.Status


def test_a_retry_from_the_failed_step_skips_the_successful_steps():
    failed = ended_run(DONE, FAILED)

    run = retry.retry_from_failed(failed, cause=ANN)

    assert (run.number, run.trigger, run.retry_of, run.actor) == (2, "retry", failed, "ann")
    assert run.plan == failed.plan
    assert run.request_id == failed.request_id
    assert step_statuses(run) == ["a:skipped", "b:pending"]
    skipped = run.executions.get(step_order=1)
    assert skipped.done_in is not None
    assert (skipped.error_message, skipped.done_in.run) == (f"done in run {failed.pk}", failed)
    run.mark_running(cause=Cause())
    finish(run, DONE, DONE)
    assert (run.status, step_statuses(run)) == ("success", ["a:skipped", "b:success", "c:success"])
    failed.refresh_from_db()
    assert failed.status == "failure"


def make_bucket_whose_second_step_reads_the_first():
    bucket = make_bucket()
    make_step(bucket, name="a")
    reads = {"text": "{{ steps.a.status }} {{ steps.a.result.stdout }}"}
    make_step(bucket, make_action(st2_runner="noop"), name="b", parameters=reads)
    return bucket


def rendered_text(run):
    return parameters.render(run.executions.get(status=Status.PENDING)).sent["text"]


def test_a_retry_reads_the_results_of_the_original_run():
    failed = ended_run(DONE, FAILED, bucket=make_bucket_whose_second_step_reads_the_first())

    run = retry.retry_from_failed(failed, cause=ANN)

    assert rendered_text(run) == "success 5"


def test_a_retry_of_a_retry_reads_the_results_of_the_first_run():
    failed = ended_run(DONE, FAILED, bucket=make_bucket_whose_second_step_reads_the_first())
    run = retry.retry_from_failed(failed, cause=ANN)
    run.mark_running(cause=Cause())
    finish(run, FAILED)

    second = retry.retry_from_failed(run, cause=ANN)

    assert rendered_text(second) == "success 5"


def test_a_retry_from_the_start_uses_the_current_bucket_version():
    failed = ended_run(FAILED)
    failed.bucket.steps.filter(name="c").delete()

    run = retry.retry_from_start(failed, cause=ANN)

    assert step_statuses(run) == ["a:pending"]
    assert [step["name"] for step in run.plan.steps] == ["a", "b"]


def test_the_actor_and_the_request_are_recorded():
    run = retry.retry_from_start(ended_run(FAILED), cause=ANN)

    first = Transition.objects.filter(subject_type="run", subject_id=run.pk).earliest("pk")
    assert (first.actor, first.cause_request_id, first.request_id) == (
        "ann",
        "call-9",
        run.request_id,
    )


def test_a_retry_from_the_failed_step_needs_a_failed_step():
    with pytest.raises(errors.NotPossible, match="from the start"):
        retry.retry_from_failed(ended_run(DONE, DONE, DONE), cause=ANN)


@pytest.mark.parametrize("outcomes", [(), (DONE,), (Outcome.unknown("no answer"),)])
def test_an_open_or_unknown_run_blocks_new_runs(outcomes):
    run = ended_run(*outcomes)

    for start in (
        lambda: retry.retry_from_start(run, cause=ANN),
        lambda: retry.run_manually(run.bucket, run.alert, cause=ANN),
        lambda: retry.match_again(run.alert, cause=ANN),
    ):
        with pytest.raises(errors.NotPossible, match=f"Run #{run.pk}"):
            start()
    assert BucketRun.objects.count() == 1


def test_a_manual_run_needs_no_match_and_does_not_take_number_one():
    bucket = make_step(make_bucket(alert_name_pattern="SomethingElse")).bucket

    run = retry.run_manually(bucket, make_alert(), cause=ANN)

    assert (run.number, run.trigger, run.status) == (2, "manual", "pending")
    assert run.executions.count() == 1


def test_an_invalid_bucket_is_not_started():
    with pytest.raises(errors.NotPossible, match="no steps"):
        retry.run_manually(make_bucket(), make_alert(), cause=ANN)


def test_matching_again_starts_the_buckets_that_match_now():
    alert = make_alert()
    for name, priority, continues in (("a", 1, True), ("b", 2, False), ("c", 3, False)):
        make_step(make_bucket(name=name, priority=priority, continue_matching=continues))

    runs = retry.match_again(alert, cause=ANN)

    assert [run.bucket.name for run in runs] == ["a", "b"]


def test_matching_again_starts_all_buckets_or_none():
    alert = make_alert()
    first = make_step(make_bucket(priority=1, continue_matching=True)).bucket
    second = make_step(make_bucket(priority=2)).bucket
    make_run(second, alert)

    with pytest.raises(errors.NotPossible):
        retry.match_again(alert, cause=ANN)

    assert not first.runs.exists()


def test_matching_again_needs_a_matching_bucket():
    with pytest.raises(errors.NotPossible, match="No bucket matches"):
        retry.match_again(make_alert(), cause=ANN)


def test_a_disabled_bucket_is_not_started():
    bucket = make_step(make_bucket(is_enabled=False)).bucket

    with pytest.raises(errors.NotPossible, match="enable it first"):
        retry.run_manually(bucket, make_alert(), cause=ANN)
