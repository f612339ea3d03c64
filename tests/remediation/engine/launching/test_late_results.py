"""A worker suspended for longer than its lease sends nothing, and its results are recorded."""

import datetime
import time
from concurrent.futures import Future
from dataclasses import replace
from typing import Any

import pytest
import time_machine
from django.db import OperationalError, connection, transaction
from django.utils import timezone

from remediation.clock import Timer
from remediation.engine.launching import (
    claim,
    launch,
    launch_responses,
    local_launch,
    lookup,
    prepared_launch,
    recover,
)
from remediation.engine.outcomes import poll, traces
from remediation.models import ActionExecution, BucketRun, Cause, Transition
from remediation.stackstorm import StackStormError, TooLateToSend
from tests.remediation.engine.launching.due_executions import due_execution, due_local_execution

pytestmark = pytest.mark.django_db

Status = ActionExecution.Status
LONGER_THAN_ANY_LEASE = datetime.timedelta(seconds=600)


@pytest.fixture
def clock():
    with time_machine.travel(timezone.now(), tick=False) as traveller:
        yield traveller


@pytest.fixture
def execution():
    return due_execution()


@pytest.fixture
def local_execution(request):
    action_type, parameters = request.param
    return due_local_execution(action_type, **parameters)


def send(prepared, client):
    future: Future[Any] = Future()
    try:
        future.set_result(prepared.send(client))
    except (StackStormError, TooLateToSend) as error:
        future.set_exception(error)
    return future


def claimed(execution):
    prepared = prepared_launch.prepare_and_claim_one(execution)
    assert prepared is not None
    return prepared


def suspended_before_sending(execution):
    """Claim for a worker that is suspended right after it last checked its timer."""
    return replace(claimed(execution), timer=Timer(1e9))


def take_over(clock, client):
    """Let another worker recover the launch and look it up until it is released or adopted."""
    clock.shift(LONGER_THAN_ANY_LEASE)
    recover.recover()
    clock.shift(LONGER_THAN_ANY_LEASE)
    lookup.look_up_due(client=client)


def notes(execution):
    """Return the transitions that did not change the status."""
    rows = Transition.objects.filter(subject_type="execution", subject_id=execution.pk)
    return [move for move in rows.order_by("pk") if move.from_status == move.to_status]


def test_a_worker_whose_lease_is_over_sends_nothing(clock, sandbox, st2, execution):
    prepared = claimed(execution)
    clock.shift(claim.start_within(is_local=False))

    launch_responses.record(prepared, send(prepared, st2), client=st2)

    execution.refresh_from_db()
    assert (execution.status, execution.due_at) == (Status.PENDING, timezone.now())
    assert "suspended for longer than its lease" in execution.error_message
    assert not sandbox.posts_by_trace_tag()


def test_an_unsent_launch_does_not_wait_for_its_look_up(clock, sandbox, st2, execution):
    prepared = claimed(execution)
    clock.shift(LONGER_THAN_ANY_LEASE)
    recover.recover()

    launch_responses.record(prepared, send(prepared, st2), client=st2)
    launch.launch_due(client=st2)

    execution.refresh_from_db()
    assert (execution.status, execution.unanswered_launches) == (Status.RUNNING, 0)
    assert sandbox.posts_by_trace_tag() == {execution.trace_tag: 1}


def test_the_look_up_of_an_earlier_launch_continues(clock, sandbox, st2, execution):
    sandbox.configure(ghost_rate=1.0)
    launch.launch_due(client=st2)
    ActionExecution.objects.update(status="pending", lookup_until=None, due_at=timezone.now())
    execution.refresh_from_db()
    prepared = claimed(execution)
    clock.shift(LONGER_THAN_ANY_LEASE)
    recover.recover()

    launch_responses.record(prepared, send(prepared, st2), client=st2)

    execution.refresh_from_db()
    assert (execution.status, execution.unanswered_launches) == (Status.LAUNCHING, 1)
    assert execution.lookup_until
    assert sandbox.posts_by_trace_tag() == {execution.trace_tag: 1}


def test_a_worker_sends_nothing_after_another_launched_its_row(clock, sandbox, st2, execution):
    prepared = claimed(execution)
    take_over(clock, st2)
    launch.launch_due(client=st2)
    before = ActionExecution.objects.values().get()

    launch_responses.record(prepared, send(prepared, st2), client=st2)

    assert ActionExecution.objects.values().get() == before
    assert sandbox.posts_by_trace_tag() == {execution.trace_tag: 1}


@pytest.mark.parametrize("is_claimed", [False, True], ids=["pending", "claimed by another"])
def test_a_late_response_is_recorded_before_the_row_is_resent(
    is_claimed, clock, sandbox, st2, execution
):
    prepared = suspended_before_sending(execution)
    take_over(clock, st2)
    if is_claimed:
        other = claimed(ActionExecution.objects.get())

    launch_responses.record(prepared, send(prepared, st2), client=st2)
    launch.launch_due(client=st2)

    execution.refresh_from_db()
    [remote] = sandbox.executions
    assert (execution.status, execution.st2_execution_id) == (Status.RUNNING, remote["id"])
    assert sandbox.posts_by_trace_tag() == {execution.trace_tag: 1}
    if is_claimed:
        launch_responses.record(other, send(other, st2), client=st2)
        execution.refresh_from_db()
        second = sandbox.executions[1]["id"]
        assert (execution.st2_execution_id, execution.st2_ghost_ids) == (remote["id"], [second])


def test_a_late_response_for_an_adopted_execution_changes_nothing(clock, sandbox, st2, execution):
    prepared = claimed(execution)
    future = send(prepared, st2)
    take_over(clock, st2)
    before = ActionExecution.objects.values().get()
    assert before["status"] == "running"

    launch_responses.record(prepared, future, client=st2)

    assert ActionExecution.objects.values().get() == before
    assert not notes(execution)


def test_a_duplicate_execution_is_stored_and_canceled(clock, sandbox, st2, execution):
    sandbox.configure(outcomes={"core.local": "running"})
    prepared = suspended_before_sending(execution)
    take_over(clock, st2)
    launch.launch_due(client=st2)

    launch_responses.record(prepared, send(prepared, st2), client=st2)

    first, second = sandbox.executions
    execution.refresh_from_db()
    assert execution.status == Status.RUNNING
    assert (execution.st2_execution_id, execution.st2_ghost_ids) == (first["id"], [second["id"]])
    assert st2.execution(second["id"]).status in ("canceling", "canceled")
    assert st2.execution(first["id"]).status == "running"
    [note] = notes(execution)
    assert note.data == {"st2_execution_id": first["id"], "canceled": [second["id"]]}
    assert second["id"] in note.reason


def test_a_duplicate_execution_is_stored_on_an_ended_row(clock, sandbox, st2, execution):
    prepared = suspended_before_sending(execution)
    take_over(clock, st2)
    launch.launch_due(client=st2)
    ActionExecution.objects.update(due_at=timezone.now())
    poll.poll_due(client=st2)

    launch_responses.record(prepared, send(prepared, st2), client=st2)

    execution.refresh_from_db()
    assert (execution.status, execution.due_at) == (Status.SUCCESS, None)
    assert execution.st2_ghost_ids == [sandbox.executions[1]["id"]]
    assert len(notes(execution)) == 1


def test_a_late_response_is_stored_when_the_cancel_fails(clock, sandbox, st2, execution):
    prepared = suspended_before_sending(execution)
    take_over(clock, st2)
    launch.launch_due(client=st2)
    future = send(prepared, st2)
    sandbox.configure(unavailable=True)

    launch_responses.record(prepared, future, client=st2)

    execution.refresh_from_db()
    assert execution.st2_ghost_ids == [future.result().id]


def test_a_late_response_settles_an_unknown_execution(clock, sandbox, st2, execution):
    prepared = suspended_before_sending(execution)
    for _ in range(lookup.LAUNCHES_MAX - 1):
        take_over(clock, st2)
        assert prepared_launch.prepare_and_claim_one(ActionExecution.objects.get())
    take_over(clock, st2)
    assert ActionExecution.objects.get().status == Status.UNKNOWN

    launch_responses.record(prepared, send(prepared, st2), client=st2)
    poll.poll_due(client=st2)

    execution.refresh_from_db()
    assert (execution.status, execution.st2_execution_id) == (
        Status.SUCCESS,
        sandbox.executions[0]["id"],
    )
    assert BucketRun.objects.get().status == "success"


def test_scheduling_a_look_up_for_an_old_claim_does_not_change_a_newer_one(
    clock, sandbox, st2, execution
):
    prepared = claimed(execution)
    take_over(clock, st2)
    assert prepared_launch.prepare_and_claim_one(ActionExecution.objects.get())
    before = ActionExecution.objects.values().get()

    lookup.schedule(prepared.execution, at=timezone.now(), reason="no response")

    assert ActionExecution.objects.values().get() == before


def test_a_slow_look_up_does_not_cancel_an_execution_adopted_by_another_worker(
    clock, sandbox, st2, execution
):
    sandbox.configure(outcomes={"core.local": "requested"})
    assert prepared_launch.prepare_and_claim_one(execution)
    other = ActionExecution.objects.get()
    remote = st2.run_action("core.local", {"cmd": "true"}, trace_tag=execution.trace_tag)
    clock.shift(LONGER_THAN_ANY_LEASE)
    recover.recover()
    slow = ActionExecution.objects.get()
    other.mark_running(cause=Cause(), due_at=timezone.now(), st2_execution_id=remote.id)
    before = ActionExecution.objects.values().get()

    lookup._cancel_ghosts(slow, traces.find_launched(slow, client=st2), client=st2)

    assert ActionExecution.objects.values().get() == before
    assert st2.execution(remote.id).status == "requested"


LOG_EVENT = ("log_event", {"message": "down"})


@pytest.mark.parametrize("local_execution", [LOG_EVENT], indirect=True)
def test_a_local_action_is_not_started_near_the_end_of_its_lease(clock, local_execution):
    prepared = claimed(local_execution)
    clock.shift(claim.start_within(is_local=True))

    local_launch.execute(prepared)

    local_execution.refresh_from_db()
    assert (local_execution.status, local_execution.st2_result) == (Status.PENDING, None)
    assert launch.run_local()
    local_execution.refresh_from_db()
    assert local_execution.status == Status.SUCCESS


def suspend_local_action(monkeypatch, meanwhile):
    """Call ``meanwhile`` while a local action runs."""

    def run(_name, _parameters):
        meanwhile()
        return {"status": 200}

    monkeypatch.setattr("remediation.local_actions.run", run)


HTTP_REQUEST = ("http_request", {"url": "http://127.0.0.1:9/"})


@pytest.mark.parametrize("local_execution", [HTTP_REQUEST], indirect=True)
def test_a_late_outcome_settles_an_unknown_local_action(clock, local_execution, monkeypatch):
    def meanwhile():
        clock.shift(LONGER_THAN_ANY_LEASE)
        recover.recover()
        assert ActionExecution.objects.get().status == Status.UNKNOWN

    suspend_local_action(monkeypatch, meanwhile)

    launch.run_local()

    local_execution.refresh_from_db()
    assert local_execution.status == Status.SUCCESS
    assert BucketRun.objects.get().status == "success"


@pytest.mark.parametrize("local_execution", [LOG_EVENT], indirect=True)
def test_a_late_outcome_of_a_settled_local_action_becomes_a_note(
    clock, local_execution, monkeypatch
):
    def meanwhile():
        monkeypatch.undo()
        clock.shift(LONGER_THAN_ANY_LEASE)
        recover.recover()
        assert launch.run_local()

    suspend_local_action(monkeypatch, meanwhile)

    launch.run_local()

    local_execution.refresh_from_db()
    assert local_execution.status == Status.SUCCESS
    assert local_execution.st2_result != {"status": 200}
    [note] = notes(local_execution)
    assert "another worker executed it too" in note.reason


@pytest.mark.parametrize("local_execution", [HTTP_REQUEST], indirect=True)
def test_an_unknown_local_action_that_never_began_gets_a_note(clock, local_execution):
    prepared = claimed(local_execution)
    clock.shift(LONGER_THAN_ANY_LEASE)
    recover.recover()

    local_launch.execute(prepared)

    local_execution.refresh_from_db()
    assert local_execution.status == Status.UNKNOWN
    [note] = notes(local_execution)
    assert note.reason.startswith("it never began")


@transaction.atomic
def suspend_in_a_transaction():
    ActionExecution.objects.update(error_message="stopped")
    time.sleep(1.5)
    ActionExecution.objects.exists()


@pytest.mark.django_db(transaction=True)
@pytest.mark.skipif(connection.vendor != "mysql", reason="SQLite has one writer")
def test_a_worker_suspended_in_a_transaction_keeps_no_locks(execution):
    with connection.cursor() as cursor:
        cursor.execute("SELECT @@idle_transaction_timeout")
        assert cursor.fetchone() == (40,)
        cursor.execute("SET idle_transaction_timeout = 1")
    with pytest.raises(OperationalError):
        suspend_in_a_transaction()
    connection.close()

    assert ActionExecution.objects.get().error_message == ""
