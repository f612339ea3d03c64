"""One bad row never stops the others, for each transaction that stores several rows."""

import datetime
import json

import pytest
from django.db import DataError, OperationalError

from remediation import alertmanager, clock
from remediation.engine import cancel, row_by_row
from remediation.engine.intake import receive
from remediation.engine.launching import launch, launch_timeout, lookup, recover
from remediation.engine.outcomes import poll, remote_status, reruns
from remediation.models import Action, ActionExecution, Alert, BucketRun, Cause, Rerun, Transition
from remediation.stackstorm.executions import read_execution
from tests.factories import (
    LABELS,
    alert_payload,
    make_action,
    make_bucket,
    make_execution,
    make_local_action,
    make_run,
    make_step,
    notification_body,
)
from tests.remediation.refused_rows import TEXT, refused
from tests.remediation.stackstorm.recordings import recording

pytestmark = pytest.mark.django_db(transaction=True)

Status = ActionExecution.Status
DAY = datetime.timedelta(days=1)


@pytest.fixture
def three():
    """Return three pending executions of different runs; tests let the second one fail."""
    bucket = make_bucket()
    make_step(bucket, make_action(st2_runner="local-shell-cmd"), parameters={"cmd": "true"})
    return [make_execution(make_run(bucket)) for _ in range(3)]


@pytest.fixture
def launched(sandbox, st2, three):
    launch.launch_due(client=st2)
    return three


def rows(executions):
    return [ActionExecution.objects.get(pk=execution.pk) for execution in executions]


def statuses(executions):
    return [row.status for row in rows(executions)]


def make_due():
    ActionExecution.objects.filter(due_at__isnull=False).update(
        due_at=clock.now() - datetime.timedelta(seconds=1)
    )


def test_an_execution_whose_result_is_refused_ends_without_a_result(launched, st2):
    bad = launched[1]
    make_due()

    with refused(ActionExecution, f"NEW.id = {bad.pk} AND NEW.st2_result LIKE '%return_code%'"):
        poll.poll_due(client=st2)

    assert statuses(launched) == ["success"] * 3
    assert TEXT in rows(launched)[1].st2_result
    assert TEXT in rows(launched)[1].error_message
    assert [run.status for run in BucketRun.objects.all()] == ["success"] * 3


def test_an_execution_whose_outcome_is_refused_becomes_unknown_with_the_reason(launched, st2):
    bad = launched[1]
    make_due()

    with refused(ActionExecution, f"NEW.id = {bad.pk} AND NEW.status = 'success'"):
        poll.poll_due(client=st2)

    assert statuses(launched) == ["success", "unknown", "success"]
    assert TEXT in rows(launched)[1].error_message
    assert TEXT in BucketRun.objects.get(pk=bad.run_id).reason


@pytest.mark.usefixtures("frozen_clock")
def test_an_execution_that_cannot_change_status_is_postponed_with_the_reason(launched, st2):
    bad = launched[1]
    make_due()

    is_of_bad_row = f"NEW.subject_id = {bad.pk} AND NEW.subject_type = 'execution'"
    with refused(Transition, is_of_bad_row, event="INSERT"):
        poll.poll_due(client=st2)
        row = rows(launched)[1]

    assert statuses(launched) == ["success", "running", "success"]
    assert TEXT in row.error_message
    assert row.due_at > clock.now() + datetime.timedelta(minutes=4)

    make_due()
    poll.poll_due(client=st2)

    assert statuses(launched) == ["success"] * 3


def test_a_refused_launch_response_becomes_unknown_with_the_st2_id(sandbox, st2, three):
    bad = three[1]

    with refused(ActionExecution, f"NEW.id = {bad.pk} AND NEW.status = 'running'"):
        launch.launch_due(client=st2)

    assert statuses(three) == ["running", "unknown", "running"]
    reason = rows(three)[1].error_message
    assert TEXT in reason
    assert "StackStorm started it as execution " in reason
    assert len(sandbox.posts_by_trace_tag()) == 3


def test_refused_parameters_fail_their_execution(sandbox, st2, three):
    bad = three[1]

    with refused(ActionExecution, f"NEW.id = {bad.pk} AND NEW.parameters LIKE '%cmd%'"):
        launch.launch_due(client=st2)

    assert statuses(three) == ["running", "failure", "running"]
    assert TEXT in rows(three)[1].error_message
    assert bad.trace_tag not in sandbox.posts_by_trace_tag()


def test_a_refused_claim_is_postponed(sandbox, st2, three):
    bad = three[1]

    with refused(ActionExecution, f"NEW.id = {bad.pk} AND NEW.status = 'launching'"):
        launch.launch_due(client=st2)

    assert statuses(three) == ["running", "pending", "running"]
    assert TEXT in rows(three)[1].error_message
    assert bad.trace_tag not in sandbox.posts_by_trace_tag()


def test_a_poll_that_cannot_be_postponed_does_not_stop_the_others(launched, st2):
    bad = launched[1]
    make_due()

    with refused(ActionExecution, f"NEW.id = {bad.pk}"):
        poll.poll_due(client=st2)

    assert statuses(launched) == ["success", "running", "success"]


def test_a_refused_status_does_not_stop_the_others(sandbox, st2, three):
    sandbox.configure(outcomes={"core.local": "paused"})
    launch.launch_due(client=st2)
    bad = three[1]
    updates = [(row, st2.execution(row.st2_execution_id)) for row in rows(three)]

    with refused(
        ActionExecution, f"NEW.id = {bad.pk} AND NEW.st2_action_execution_status = 'paused'"
    ):
        remote_status.store_remote_statuses(updates)

    stored = [row.st2_action_execution_status for row in rows(three)]
    assert [status == "paused" for status in stored] == [True, False, True]
    assert TEXT in rows(three)[1].error_message


def test_a_failing_look_up_does_not_stop_the_others(sandbox, st2, three):
    for execution in three:
        execution.claim(cause=Cause(), lease_until=clock.now())
        execution.await_lookup(at=clock.now(), until=clock.now(), why="no answer")
    bad = three[1]

    with refused(ActionExecution, f"NEW.id = {bad.pk} AND NEW.status = 'pending'"):
        lookup.look_up_due(client=st2)

    assert statuses(three) == ["pending", "launching", "pending"]
    assert TEXT in rows(three)[1].error_message


def test_a_refused_expiry_does_not_stop_the_others(three):
    ActionExecution.objects.update(created_at=clock.now() - 2 * DAY)
    bad = three[1]

    with refused(ActionExecution, f"NEW.id = {bad.pk} AND NEW.status = 'timeout'"):
        launch_timeout.expire()

    assert statuses(three) == ["timeout", "pending", "timeout"]
    assert TEXT in rows(three)[1].error_message


def test_a_refused_recovery_does_not_stop_the_others(three):
    for execution in three:
        execution.claim(cause=Cause(), lease_until=clock.now())
    bad = three[1]

    with refused(ActionExecution, f"NEW.id = {bad.pk} AND NEW.lookup_until IS NOT NULL"):
        recover.recover()

    assert [row.lookup_until is not None for row in rows(three)] == [True, False, True]
    assert TEXT in rows(three)[1].error_message


def test_a_refused_stop_does_not_stop_the_others(three):
    BucketRun.objects.update(stop="stop")
    bad = three[1]

    with refused(ActionExecution, f"NEW.id = {bad.pk} AND NEW.status = 'skipped'"):
        cancel.apply_stops()

    assert statuses(three) == ["skipped", "pending", "skipped"]


def test_a_refused_time_limit_does_not_stop_the_others():
    bucket = make_bucket(timeout_seconds=1)
    make_step(bucket, make_action())
    yesterday = clock.now() - DAY
    runs = [make_run(bucket, status="running", started_at=yesterday) for _ in range(3)]
    bad = runs[1]

    with refused(BucketRun, f"NEW.id = {bad.pk} AND NEW.stop = 'cancel'"):
        cancel.cancel_overdue()

    stops = BucketRun.objects.order_by("pk").values_list("stop", flat=True)
    assert list(stops) == ["cancel", "", "cancel"]


def test_a_refused_local_action_does_not_stop_the_others():
    bucket = make_bucket()
    make_step(bucket, make_local_action("log_event"), parameters={"message": "hello"})
    pair = [make_execution(make_run(bucket)) for _ in range(2)]

    with refused(ActionExecution, f"NEW.id = {pair[0].pk} AND NEW.status = 'launching'"):
        assert launch.run_local()

    assert statuses(pair) == ["pending", "success"]


def test_a_refused_rerun_does_not_stop_the_others(three):
    recorded = recording("rerun-of-execution-with-notify-201").body
    first = recorded["context"]["re-run"]["ref"]
    ActionExecution.objects.filter(pk=three[0].pk).update(st2_execution_id=first)
    events = [read_execution(recorded | {"id": f"rerun-{number}"}) for number in range(3)]

    with refused(Rerun, "NEW.st2_execution_id = 'rerun-1'", event="INSERT"):
        reruns.record_events(events)

    stored = Rerun.objects.order_by("pk").values_list("st2_execution_id", flat=True)
    assert list(stored) == ["rerun-0", "rerun-2"]


def test_a_refused_action_does_not_stop_the_others(sandbox, st2):
    pair = []
    for ref in ("core.local", "core.noop"):
        bucket = make_bucket()
        parameters = {"cmd": "true"} if ref == "core.local" else {}
        make_step(bucket, make_action(st2_action_ref=ref), parameters=parameters)
        pair.append(make_execution(make_run(bucket)))

    with refused(Action, "NEW.st2_action_ref = 'core.local'"):
        launch.launch_due(client=st2)

    assert statuses(pair) == ["pending", "running"]


def notification(*names):
    alerts = [alert_payload(labels=LABELS | {"alertname": name}) for name in names]
    return alertmanager.parse(json.dumps(notification_body(*alerts)).encode())


def test_a_refused_alert_is_invalid_and_the_others_are_stored():
    with refused(Alert, "NEW.alert_name = 'Bad'", event="INSERT"):
        receipts = receive.receive(
            notification("First", "Bad", "Last"), cause=Cause(request_id="call-1"), client=""
        )

    assert [receipt.disposition for receipt in receipts] == ["unmatched", "invalid", "unmatched"]
    assert [receipt.alert_name for receipt in receipts] == ["First", "Bad", "Last"]
    assert TEXT in receipts[1].reason
    assert set(Alert.objects.values_list("alert_name", flat=True)) == {"First", "Last"}


def test_a_body_of_which_nothing_can_be_stored_raises_an_error():
    with refused(Alert, "1 = 1", event="INSERT"), pytest.raises(Exception, match=TEXT):
        receive.receive(
            notification("First", "Second"), cause=Cause(request_id="call-1"), client=""
        )

    assert not Alert.objects.exists()


def failing(*errors):
    left = list(errors)

    def store_all(items):
        if left:
            raise left.pop(0)
        return list(items)

    return store_all


def unexpected(item, error):
    pytest.fail(f"{item}: {error}")


def test_a_persistent_lock_is_raised():
    lock = OperationalError("database is locked")

    with pytest.raises(OperationalError):
        row_by_row.run_batch([1, 2], failing(*[lock] * 99), description="It", on_failure=unexpected)


@pytest.mark.parametrize(
    "error",
    [OperationalError(1290, "running with --read-only"), OperationalError("disk is full")],
    ids=str,
)
def test_an_outage_of_the_database_is_raised_at_once(error):
    with pytest.raises(OperationalError):
        row_by_row.run_batch([1, 2], failing(error), description="It", on_failure=unexpected)


def test_a_failed_batch_is_stored_row_by_row():
    stored = row_by_row.run_batch(
        [1, 2], failing(DataError(1406, "Data too long")), description="It", on_failure=unexpected
    )

    assert stored == [[1], [2]]
