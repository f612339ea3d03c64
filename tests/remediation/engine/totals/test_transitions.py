"""Counters that come from transitions: exact, monotone, and independent of the rows' lifetime."""

import datetime
import threading

import pytest
from django.db import connection, transaction
from django.utils import timezone

from remediation.engine.totals import advance, current, positions
from remediation.engine.totals.current import TotalsInMotion, current_totals
from remediation.models import (
    ActionExecution,
    BucketRun,
    Cause,
    MetricPosition,
    MetricTotal,
    Transition,
)
from tests import factories

pytestmark = pytest.mark.django_db

AT = timezone.now()
SECONDS = datetime.timedelta(seconds=1)


def total(name, **labels):
    return current_totals().get((name, tuple(sorted(labels.items()))), 0)


def stored(name):
    return sum(MetricTotal.objects.filter(name=name).values_list("value", flat=True))


def add_transition(row, to_status, *, from_status="", pk=None, at=AT):
    change = Transition.of(row, cause=Cause(at=at), from_status=from_status, to_status=to_status)
    change.pk = pk
    change.save(force_insert=True)


def end(run, status="success"):
    """Run a new run to its end, 2 s after it was created; it begins after half a second."""
    for seconds, from_status, to_status in (
        (0, "", "pending"),
        (0.5, "pending", "running"),
        (2, "running", status),
    ):
        at = run.created_at + seconds * SECONDS
        add_transition(run, to_status, from_status=from_status, at=at)


def test_runs_are_counted_by_bucket_trigger_and_outcome():
    run, retry = factories.make_run(), factories.make_run(trigger="retry")

    end(run)
    end(retry, "failure")
    add_transition(run, "skipped")

    bucket, other = str(run.bucket_id), str(retry.bucket_id)
    assert total("poundcake_runs_created_total", bucket=bucket, trigger="alert") == 2
    assert total("poundcake_runs_created_total", bucket=other, trigger="retry") == 1
    assert total("poundcake_runs_ended_total", bucket=bucket, outcome="success") == 1
    assert total("poundcake_runs_ended_total", bucket=bucket, outcome="skipped") == 1
    assert total("poundcake_runs_ended_total", bucket=other, outcome="failure") == 1


def test_executions_are_counted_by_action_without_the_tasks_of_workflows():
    execution = factories.make_execution()
    task = factories.make_execution(execution.run, parent=execution, attempt=2)

    for row in (execution, task):
        add_transition(row, "running", from_status="pending")
        add_transition(row, "timeout", from_status="running")

    labels = {"bucket": str(execution.bucket_id), "action": str(execution.action_id)}
    assert total("poundcake_executions_ended_total", **labels, outcome="timeout") == 1
    assert total("poundcake_executions_ended_total", bucket=labels["bucket"], action="") == 0


def test_the_times_of_automatic_runs_are_observed():
    end(factories.make_run())
    end(factories.make_run(trigger="manual"))
    end(factories.make_run(held_until=AT))
    run = factories.make_run()
    add_transition(run, "running", from_status="unknown")

    assert total("poundcake_alert_to_first_call_seconds_bucket", le="0.5") == 1
    assert total("poundcake_alert_to_first_call_seconds_sum") == pytest.approx(0.5)
    totals = current_totals()
    ended = {key: value for key, value in totals.items() if "time_to_remediate" in key[0]}
    assert sorted(ended.values()) == [1, pytest.approx(2)]
    assert [dict(labels).get("le") for _, labels in ended] == ["5.0", None]


def test_a_scrape_shows_the_same_before_and_after_the_rows_are_counted():
    end(factories.make_run())
    before = current_totals()
    assert not MetricTotal.objects.exists()

    advance.advance()

    assert MetricTotal.objects.exists()
    assert current_totals() == before


def test_a_repeated_count_adds_nothing():
    end(factories.make_run())

    for _ in range(3):
        advance.advance()

    assert stored("poundcake_runs_ended_total") == 1


def test_a_worker_that_loses_the_race_adds_nothing(monkeypatch):
    end(factories.make_run())
    read = positions.uncounted

    def overtaken(*arguments, **options):
        batch = read(*arguments, **options)
        monkeypatch.setattr(advance, "uncounted", read)
        advance.advance()
        return batch

    monkeypatch.setattr(advance, "uncounted", overtaken)
    advance.advance()

    assert stored("poundcake_runs_ended_total") == 1


def test_a_failed_count_leaves_the_position(monkeypatch):
    end(factories.make_run())

    def fail(*_):
        raise RuntimeError

    monkeypatch.setattr(MetricTotal, "add", fail)
    with pytest.raises(RuntimeError):
        advance.advance()
    monkeypatch.undo()
    advance.advance()

    assert stored("poundcake_runs_ended_total") == 1


def test_a_row_that_appears_below_the_position_is_counted_once():
    run = factories.make_run()
    first = Transition.objects.order_by("-pk").values_list("pk", flat=True).first() or 0
    add_transition(run, "skipped", pk=first + 9)
    advance.advance()
    add_transition(run, "skipped", pk=first + 4)
    assert total("poundcake_runs_created_total", bucket=str(run.bucket_id), trigger="alert") == 2

    for _ in range(2):
        advance.advance()

    assert stored("poundcake_runs_created_total") == 2
    assert first + 4 not in [pk for pk, _ in MetricPosition.current().missing]
    assert first + 5 in [pk for pk, _ in MetricPosition.current().missing]


def test_ids_that_stay_missing_are_forgotten(monkeypatch):
    add_transition(factories.make_run(), "skipped", pk=5_000_000)
    advance.advance()
    remembered = MetricPosition.current()
    assert len(remembered.missing) == positions.MISSING_MAX
    assert remembered.missing[-1][0] == 4_999_999

    monkeypatch.setattr(positions, "MISSING_SECONDS", 0)
    advance.advance()

    assert MetricPosition.current().missing == []


@pytest.mark.django_db(transaction=True)
@pytest.mark.skipif(connection.vendor != "mysql", reason="SQLite has one writer")
def test_transactions_that_commit_in_another_order_are_counted_once():
    run = factories.make_run()
    is_inserted, may_commit = threading.Event(), threading.Event()

    def insert_and_wait():
        with transaction.atomic():
            add_transition(run, "skipped")
            is_inserted.set()
            assert may_commit.wait(30)
        connection.close()

    slow = threading.Thread(target=insert_and_wait)
    slow.start()
    assert is_inserted.wait(30)
    add_transition(run, "skipped")
    advance.advance()
    assert stored("poundcake_runs_created_total") == 1
    may_commit.set()
    slow.join()

    assert total("poundcake_runs_created_total", bucket=str(run.bucket_id), trigger="alert") == 2
    advance.advance()
    assert stored("poundcake_runs_created_total") == 2


def test_a_long_history_is_counted_in_batches(monkeypatch):
    run = factories.make_run()
    for _ in range(25):
        add_transition(run, "skipped")
    monkeypatch.setattr(advance, "BATCH_ROWS", 10)
    monkeypatch.setattr(advance, "TICK_SECONDS", 0)
    monkeypatch.setattr(current, "ROWS_MAX", 5)

    seen = []
    for _ in range(4):
        seen.append(
            total("poundcake_runs_created_total", bucket=str(run.bucket_id), trigger="alert")
        )
        advance.advance()

    assert seen == [5, 15, 25, 25]


def test_totals_stay_when_the_rows_are_deleted():
    run = factories.make_run()
    end(run)
    advance.advance()
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM transitions")

    advance.advance()

    assert total("poundcake_runs_ended_total", bucket=str(run.bucket_id), outcome="success") == 1


def test_transitions_of_deleted_rows_are_passed_over():
    run = factories.make_run()
    end(run)
    add_transition(factories.make_alert(), "firing")
    BucketRun.objects.all().delete()

    assert current_totals() == {}
    advance.advance()
    assert MetricPosition.current().position > 0


def test_a_read_is_repeated_while_the_position_moves(monkeypatch):
    end(factories.make_run())
    read = MetricTotal.all
    moves = iter(range(3))

    def read_then_move():
        totals = read()
        for _ in moves:
            advance.advance()
            add_transition(factories.make_run(), "skipped")
            advance.advance()
            break
        return totals

    monkeypatch.setattr(MetricTotal, "all", read_then_move)

    totals = current_totals()

    created = [
        value for (name, _), value in totals.items() if name == "poundcake_runs_created_total"
    ]
    assert sum(created) == 4


def test_a_read_that_never_comes_to_rest_is_an_error(monkeypatch):
    versions = iter(range(100))

    def move():
        return MetricPosition(version=next(versions))

    monkeypatch.setattr(MetricPosition, "current", move)

    with pytest.raises(TotalsInMotion, match="scrape again"):
        current_totals()


def test_nothing_is_written_when_nothing_is_new(django_assert_num_queries):
    advance.advance()

    with django_assert_num_queries(2):
        advance.advance()


def test_the_engine_writes_what_is_counted():
    """The moves of the models lead to one created run, one ended run and one ended execution."""
    execution = factories.make_execution()
    run, cause = execution.run, Cause(at=AT)
    run.mark_running(cause=cause)
    execution.claim(cause=cause, lease_until=AT)
    execution.finish(ActionExecution.Status.SUCCESS, cause=cause)
    run.finish(BucketRun.Status.SUCCESS, cause=cause)
    advance.advance()

    assert stored("poundcake_runs_ended_total") == 1
    assert stored("poundcake_executions_ended_total") == 1
    assert stored("poundcake_alert_to_first_call_seconds_bucket") == 1
    assert stored("poundcake_time_to_remediate_seconds_bucket") == 1
