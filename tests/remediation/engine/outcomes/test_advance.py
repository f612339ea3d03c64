"""How a run advances: each step's rules applied to the outcomes before it."""

import datetime

import pytest
from django.utils import timezone

from remediation.engine.outcomes.outcome import Outcome
from remediation.engine.outcomes.settle import settle
from remediation.models import ActionExecution, BucketRun, Cause, Transition
from tests.factories import make_bucket, make_execution, make_run, make_step

pytestmark = pytest.mark.django_db

Status = ActionExecution.Status
FAILED = Outcome.failure("broken")
DONE = Outcome(Status.SUCCESS, values={"st2_result": {"stdout": "5"}})
TIMED_OUT = Outcome(Status.TIMEOUT, "too slow")


def run_of(*steps):
    """Return a running run with steps a, b, c, … that have these columns."""
    bucket = make_bucket()
    for letter, columns in zip("abcdef", steps, strict=False):
        make_step(bucket, **{"name": letter} | columns)
    run = make_run(bucket)
    make_execution(run)
    run.mark_running(cause=Cause())
    return run


def play(run, *outcomes):
    """Settle each execution of the run with the next outcome; return the status of all."""
    for outcome in outcomes:
        execution = run.executions.get(status=Status.PENDING)
        execution.claim(cause=Cause(), lease_until=timezone.now())
        settle(execution, outcome, cause=Cause())
    run.refresh_from_db()
    rows = run.executions.order_by("step_order", "attempt")
    return [f"{row.name}{row.attempt}:{row.status}" for row in rows]


CASES = {
    "all succeed": (
        [{}, {}],
        [DONE, DONE],
        ["a1:success", "b1:success"],
        "success",
    ),
    "a failure stops the run": (
        [{}, {}],
        [FAILED],
        ["a1:failure", "b1:skipped"],
        "failure",
    ),
    "a failure with on_failure continue": (
        [{"on_failure": "continue"}, {}],
        [FAILED, DONE],
        ["a1:failure", "b1:success"],
        "success",
    ),
    "after a failure, failure and always steps follow": (
        [{}, {}, {"run_when": "failure"}, {"run_when": "always"}],
        [FAILED, DONE, DONE],
        ["a1:failure", "b1:skipped", "c1:success", "d1:success"],
        "failure",
    ),
    "after success, failure steps are skipped": (
        [{}, {"run_when": "failure"}, {"run_when": "always"}],
        [DONE, DONE],
        ["a1:success", "b1:skipped", "c1:success"],
        "success",
    ),
    "a step is retried": (
        [{"max_attempts": 3}, {}],
        [FAILED, TIMED_OUT, DONE, DONE],
        ["a1:failure", "a2:timeout", "a3:success", "b1:success"],
        "success",
    ),
    "the last attempt fails": (
        [{"max_attempts": 2}, {}],
        [FAILED, TIMED_OUT],
        ["a1:failure", "a2:timeout", "b1:skipped"],
        "timeout",
    ),
    "an unknown outcome": (
        [{}, {"run_when": "always"}],
        [Outcome.unknown("no answer")],
        ["a1:unknown"],
        "unknown",
    ),
    "canceled by a user in StackStorm": (
        [{"max_attempts": 3}, {"run_when": "always"}],
        [Outcome(Status.SKIPPED, "canceled", {"st2_action_execution_status": "canceled"})],
        ["a1:skipped"],
        "canceled",
    ),
}


@pytest.mark.parametrize(
    ("steps", "outcomes", "statuses", "run_status"), CASES.values(), ids=CASES.keys()
)
def test_a_run_follows_its_plan(steps, outcomes, statuses, run_status):
    run = run_of(*steps)

    assert play(run, *outcomes) == statuses
    assert run.status == run_status


def test_every_new_row_and_every_move_has_a_transition():
    run = run_of({}, {"run_when": "failure"}, {})
    play(run, DONE, DONE)

    moves = Transition.objects.order_by("pk")
    assert [(move.subject_type, move.from_status, move.to_status) for move in moves] == [
        ("run", "pending", "running"),
        ("execution", "pending", "launching"),
        ("execution", "launching", "success"),
        ("execution", "", "skipped"),
        ("execution", "", "pending"),
        ("execution", "pending", "launching"),
        ("execution", "launching", "success"),
        ("run", "running", "success"),
    ]
    assert {move.request_id for move in moves} == {run.request_id}


def test_the_delay_before_an_attempt_doubles():
    run = run_of({"max_attempts": 3, "retry_delay_seconds": 100})
    start = timezone.now()

    play(run, FAILED)
    first = run.executions.get(attempt=2).due_at - start
    play(run, FAILED)
    second = run.executions.get(attempt=3).due_at - start

    assert datetime.timedelta(seconds=100) <= first <= datetime.timedelta(seconds=130)
    assert datetime.timedelta(seconds=200) <= second <= datetime.timedelta(seconds=260)


def test_a_failed_run_names_the_step_and_its_error():
    run = run_of({})

    play(run, FAILED)

    assert run.reason == "a: broken"
    assert run.completed_at is not None


def test_a_run_of_skipped_steps_is_skipped():
    run = run_of({})
    execution = run.executions.get()

    settle(execution, Outcome(Status.SKIPPED, "by hand"), cause=Cause())

    run.refresh_from_db()
    assert (run.status, run.reason) == (BucketRun.Status.SKIPPED, "every step was skipped")
