"""Status changes of runs and executions: only allowed ones, once, with a transition."""

import itertools
from typing import Any

import pytest
from django.db import DatabaseError, transaction
from django.utils import timezone

from remediation.models import (
    ActionExecution,
    BucketRun,
    Cause,
    IllegalTransitionError,
    Transition,
)
from tests.factories import make_execution, make_run

pytestmark = pytest.mark.django_db

ENDS = ("success", "failure", "timeout", "skipped")
# The next statuses of each status by the design. They duplicate the models on purpose.
EXECUTION_MOVES = {
    # To running by a late response to an earlier launch.
    "pending": {"running", "launching", "timeout", "skipped"},
    "launching": {"pending", "running", "unknown"} | set(ENDS),
    "running": {"unknown"} | set(ENDS),
    "unknown": {"running"} | set(ENDS),
    **{status: set() for status in ENDS},
}
RUN_MOVES = {
    # To timeout when its first step was not started within LAUNCH_TIMEOUT.
    "pending": {"running", "timeout", "skipped", "canceled"},
    "running": {"unknown", "canceled"} | set(ENDS),
    "unknown": {"running"},
    "canceled": set(),
    **{status: set() for status in ENDS},
}
ADA = Cause(at=timezone.now(), actor="ada", request_id="call-7")


def move_execution(row, status):
    if status == "pending":
        row.release(cause=ADA, reason="why", due_at=ADA.at)
    elif status == "launching":
        row.claim(cause=ADA, lease_until=ADA.at)
    elif status == "running":
        row.mark_running(cause=ADA, due_at=ADA.at, reason="why")
    else:
        row.finish(ActionExecution.Status(status), cause=ADA, reason="why")


def move_run(row, status):
    if status == "running":
        row.mark_running(cause=ADA, reason="why")
    else:
        row.finish(BucketRun.Status(status), cause=ADA, reason="why")


KINDS: dict[str, tuple[Any, Any, Any, dict[str, set[str]]]] = {
    "execution": (ActionExecution, make_execution, move_execution, EXECUTION_MOVES),
    "run": (BucketRun, make_run, move_run, RUN_MOVES),
}
# No method returns a run to pending.
PAIRS = [
    (name, before, after)
    for name, (model, *_, moves) in KINDS.items()
    for before, after in itertools.product(moves, model.Status.values)
    if (name, after) != ("run", "pending")
]
LEGAL = [(name, a, b) for name, a, b in PAIRS if b in KINDS[name][3][a]]
ILLEGAL = [pair for pair in PAIRS if pair not in LEGAL]


def columns_of(model, row):
    return model.objects.filter(pk=row.pk).values().get()


def test_every_status_is_in_the_table():
    for model, _, _, moves in KINDS.values():
        assert set(moves) == set(model.Status.values)
        assert {status for status in moves if not moves[status]} == set(model.FINAL)


@pytest.mark.parametrize(("name", "before", "after"), LEGAL)
def test_a_move_changes_the_row_and_writes_a_transition(name, before, after):
    model, make, move, _ = KINDS[name]
    row = make(status=before)

    move(row, after)

    assert columns_of(model, row)["status"] == row.status == after
    [record] = Transition.objects.all()
    assert (record.subject_type, record.subject_id) == (name, row.pk)
    assert (record.from_status, record.to_status) == (before, after)
    assert (record.actor, record.cause_request_id, record.at) == ("ada", "call-7", ADA.at)
    assert record.request_id == row.request_id
    assert record.run_id == (row.run_id if name == "execution" else row.pk)
    assert record.reason == ("" if after == "launching" else "why")


@pytest.mark.parametrize(("name", "before", "after"), ILLEGAL)
def test_any_other_move_raises_and_changes_nothing(name, before, after):
    model, make, move, _ = KINDS[name]
    row = make(status=before)
    columns = columns_of(model, row)

    with pytest.raises(IllegalTransitionError, match=f"cannot become {after}"):
        move(row, after)

    assert columns_of(model, row) == columns
    assert row.status == before
    assert not Transition.objects.exists()


@pytest.mark.parametrize(
    ("name", "before", "first", "second"),
    [
        ("execution", "pending", "launching", "launching"),
        ("execution", "running", "success", "failure"),
        ("execution", "running", "success", "success"),
        ("execution", "launching", "pending", "running"),
        ("run", "pending", "running", "skipped"),
        ("run", "running", "success", "canceled"),
    ],
)
def test_only_one_of_two_concurrent_moves_succeeds(name, before, first, second):
    model, make, move, _ = KINDS[name]
    row = make(status=before)
    winner, loser = (model.objects.get(pk=row.pk) for _ in range(2))
    move(winner, first)
    columns = columns_of(model, row)

    with pytest.raises(IllegalTransitionError):
        move(loser, second)

    assert columns_of(model, row) == columns
    assert Transition.objects.count() == 1


@pytest.mark.parametrize("late", ["pending", "running", "failure", "unknown"])
def test_a_stopped_worker_cannot_move_a_row_claimed_again(late):
    row = make_execution()
    row.claim(cause=Cause(), lease_until=timezone.now())
    away = ActionExecution.objects.get(pk=row.pk)
    row.release(cause=Cause(), reason="not there", due_at=timezone.now())
    row.claim(cause=Cause(), lease_until=timezone.now())

    with pytest.raises(IllegalTransitionError):
        move_execution(away, late)

    row.refresh_from_db()
    assert row.status == "launching"


@pytest.mark.parametrize("name", KINDS)
def test_a_move_is_rolled_back_if_its_transition_fails(name, monkeypatch):
    model, make, move, _ = KINDS[name]
    row = make()
    columns = columns_of(model, row)

    def fail(*_arguments, **_options):
        raise DatabaseError

    monkeypatch.setattr(Transition, "write", fail)
    with pytest.raises(DatabaseError), transaction.atomic():
        move(row, "running" if name == "run" else "launching")

    assert columns_of(model, row) == columns
    assert row.status == "pending"


@pytest.mark.parametrize("column", ["st2_execution_id", "parent"])
def test_launched_executions_and_tasks_cannot_be_claimed(column):
    run = make_run()
    value = make_execution(run, step_order=9) if column == "parent" else "a" * 24
    row = make_execution(run, **{column: value})

    with pytest.raises(IllegalTransitionError):
        row.claim(cause=Cause(), lease_until=timezone.now())


@pytest.mark.parametrize("status", [*ENDS, "unknown"])
def test_a_final_or_unknown_execution_has_no_due_time(status):
    row = make_execution(status="running")

    row.finish(ActionExecution.Status(status), cause=ADA, reason="why")

    row.refresh_from_db()
    assert (row.due_at, row.completed_at, row.error_message) == (None, ADA.at, "why")


def test_a_run_keeps_its_start_when_it_continues():
    first, second = Cause(), Cause()
    run = make_run()
    run.mark_running(cause=first)
    run.finish(BucketRun.Status.UNKNOWN, cause=first, reason="unknown")

    run.mark_running(cause=second)

    run.refresh_from_db()
    assert (run.started_at, run.completed_at, run.reason) == (first.at, None, "")


def test_the_first_transition_of_a_row_has_no_from_status():
    row = make_execution()

    row.record(cause=ADA, reason="attempt 2 of 3")

    [record] = Transition.objects.all()
    assert (record.from_status, record.to_status, record.reason) == (
        "",
        "pending",
        "attempt 2 of 3",
    )
