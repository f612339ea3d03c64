"""Raw SQL and bulk inserts write the same rows as the ORM."""

import datetime

import pytest
from django.db import transaction
from django.utils import timezone

from remediation.models import ActionExecution, Alert, BucketRun, Cause, Transition, TransitionBatch
from remediation.models.inserts import ROWS_MAX, insert
from remediation.models.raw_sql import compare_and_set
from tests.factories import make_alert, make_execution, make_run

pytestmark = pytest.mark.django_db


def transition(number, alert):
    return Transition.of(
        alert,
        cause=Cause(),
        from_status="",
        to_status="firing",
        reason=f"%s 'x' {number}",
        data={"n": [number, None, "ü"]},
    )


def test_inserted_rows_are_read_back_unchanged_and_have_ids():
    alert = make_alert()
    rows = [transition(number, alert) for number in range(3)]

    insert(rows)

    assert [row.pk for row in rows] == sorted({row.pk for row in rows})
    for row in rows:
        assert not row._state.adding
        read = Transition.objects.get(pk=row.pk)
        assert all(
            getattr(read, field.attname) == getattr(row, field.attname)
            for field in Transition._meta.concrete_fields
        )


def test_rows_above_the_limit_of_a_statement_are_inserted_in_order():
    alert = make_alert()
    rows = [transition(number, alert) for number in range(ROWS_MAX + 7)]

    insert(rows)

    written = Transition.objects.order_by("pk").values_list("data", flat=True)
    assert [data["n"][0] for data in written] == list(range(ROWS_MAX + 7))


def test_inserting_no_rows_runs_no_statement(django_assert_num_queries):
    with django_assert_num_queries(0):
        insert([])


def test_only_the_given_columns_are_written():
    execution = make_execution()
    at = timezone.now() + datetime.timedelta(hours=1)
    values = {"due_at": at, "parameters": {"a": [1]}, "lookup_until": None, "priority": 3}
    values |= {"st2_result": None, "error_message": "100 % of 'x'"}

    assert compare_and_set(execution, expected={"status": "pending"}, **values)

    read = ActionExecution.objects.get(pk=execution.pk)
    assert {name: getattr(read, name) for name in values} == values
    assert (read.status, read.name) == (execution.status, execution.name)


@pytest.mark.parametrize(
    "expected",
    [{"status": "running"}, {"st2_execution_id": "a"}, {"started_at": timezone.now()}],
    ids=lambda expected: next(iter(expected)),
)
def test_a_row_that_differs_from_expected_is_not_written(expected):
    execution = make_execution()

    assert not compare_and_set(execution, expected=expected, status="skipped")

    assert ActionExecution.objects.get().status == "pending"


def test_an_expected_null_matches_null_only():
    run = make_run()
    sent, waiting = make_execution(run, st2_execution_id="a"), make_execution(run, attempt=2)
    expected = {"st2_execution_id": None, "parent": None}

    assert compare_and_set(waiting, expected=expected, status="launching")
    assert not compare_and_set(sent, expected=expected, status="launching")


def test_writing_an_equal_value_counts_as_written():
    execution = make_execution()

    assert compare_and_set(execution, expected={"status": "pending"}, status="pending")


def test_the_transitions_of_a_batch_are_inserted_by_one_statement_in_order(
    django_assert_num_queries,
):
    alert = make_alert()
    with transaction.atomic(), django_assert_num_queries(1), TransitionBatch() as batch:
        for number in range(3):
            Transition.write(transition(number, alert), batch=batch)

    written = Transition.objects.order_by("pk").values_list("data", flat=True)
    assert [data["n"][0] for data in written] == [0, 1, 2]


def test_moves_of_a_batch_write_their_transitions_at_its_end():
    execution = make_execution()
    cause = Cause()
    with transaction.atomic(), TransitionBatch() as batch:
        execution.run.mark_running(cause=cause, batch=batch)
        execution.finish(ActionExecution.Status.TIMEOUT, cause=cause, batch=batch)
        execution.run.finish(BucketRun.Status.TIMEOUT, cause=cause, batch=batch)
        assert not Transition.objects.exists()

    moves = Transition.objects.order_by("pk").values_list("subject_type", "to_status")
    assert list(moves) == [("run", "running"), ("execution", "timeout"), ("run", "timeout")]


def test_an_error_in_a_batch_rolls_back_the_moves_and_their_transitions():
    execution = make_execution()

    def fail():
        with transaction.atomic(), TransitionBatch() as batch:
            execution.finish(ActionExecution.Status.TIMEOUT, cause=Cause(), batch=batch)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert ActionExecution.objects.get().status == "pending"
    assert not Transition.objects.exists()

    Transition.write(transition(1, execution.alert))

    assert Transition.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_a_batch_outside_a_transaction_is_refused():
    with pytest.raises(transaction.TransactionManagementError), TransitionBatch():
        pass


def test_the_newest_episode_of_each_fingerprint_is_returned():
    labels = {"alertname": "A"}
    older = make_alert(labels, status="resolved")
    newer = make_alert(labels)
    other = make_alert({"alertname": "B"})

    ids = Alert.newest_ids({older.fingerprint, other.fingerprint, "0" * 16})

    assert sorted(ids) == [newer.pk, other.pk]
    assert Alert.newest_ids(set()) == []
