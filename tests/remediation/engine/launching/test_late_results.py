"""A worker that was stopped for longer than its lease: it starts nothing, and hides nothing."""

import datetime
import time
from concurrent.futures import Future
from dataclasses import replace

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
from tests.factories import (
    make_action,
    make_bucket,
    make_execution,
    make_local_action,
    make_run,
    make_step,
)

pytestmark = pytest.mark.django_db

Status = ActionExecution.Status
LONG = datetime.timedelta(seconds=600)


@pytest.fixture
def clock():
    with time_machine.travel(timezone.now(), tick=False) as traveller:
        yield traveller


@pytest.fixture
def execution():
    bucket = make_bucket()
    make_step(bucket, make_action(st2_runner="local-shell-cmd"), parameters={"cmd": "true"})
    return make_execution(make_run(bucket))


@pytest.fixture
def local_execution(request):
    bucket = make_bucket()
    name, parameters = request.param
    make_step(bucket, make_local_action(name), parameters=parameters)
    return make_execution(make_run(bucket))


def send(request, client):
    answer = Future()
    try:
        answer.set_result(request.send(client))
    except (StackStormError, TooLateToSend) as error:
        answer.set_exception(error)
    return answer


def frozen_in_send(execution):
    """Claim for a worker that is stopped right after its last look at the clock."""
    return replace(prepared_launch.prepare_and_claim_one(execution), timer=Timer(1e9))


def take_over(clock, client):
    """Let another worker find the launch whose lease is over, and look until it is sent again."""
    clock.shift(LONG)
    recover.recover()
    clock.shift(LONG)
    lookup.look_up_due(client=client)


def notes(execution):
    rows = Transition.objects.filter(subject_type="execution", subject_id=execution.pk)
    return [move for move in rows.order_by("pk") if move.from_status == move.to_status]


def test_a_worker_whose_lease_is_over_sends_nothing(clock, sandbox, st2, execution):
    request = prepared_launch.prepare_and_claim_one(execution)
    clock.shift(claim.start_within(is_local=False))

    launch_responses.record(request, send(request, st2), client=st2)

    execution.refresh_from_db()
    assert (execution.status, execution.due_at) == (Status.PENDING, timezone.now())
    assert "stopped for longer than its lease" in execution.error_message
    assert not sandbox.posts_by_trace_tag()


def test_what_was_not_sent_does_not_wait_for_its_look_up(clock, sandbox, st2, execution):
    request = prepared_launch.prepare_and_claim_one(execution)
    clock.shift(LONG)
    recover.recover()

    launch_responses.record(request, send(request, st2), client=st2)
    launch.launch_due(client=st2)

    execution.refresh_from_db()
    assert (execution.status, execution.unanswered_launches) == (Status.RUNNING, 0)
    assert sandbox.posts_by_trace_tag() == {execution.trace_tag: 1}


def test_what_was_sent_earlier_is_still_looked_up(clock, sandbox, st2, execution):
    sandbox.configure(ghost_rate=1.0)
    launch.launch_due(client=st2)
    ActionExecution.objects.update(status="pending", lookup_until=None, due_at=timezone.now())
    execution.refresh_from_db()
    request = prepared_launch.prepare_and_claim_one(execution)
    clock.shift(LONG)
    recover.recover()

    launch_responses.record(request, send(request, st2), client=st2)

    execution.refresh_from_db()
    assert (execution.status, execution.unanswered_launches) == (Status.LAUNCHING, 1)
    assert execution.lookup_until
    assert sandbox.posts_by_trace_tag() == {execution.trace_tag: 1}


def test_a_worker_whose_row_was_launched_by_another_one_sends_nothing(
    clock, sandbox, st2, execution
):
    request = prepared_launch.prepare_and_claim_one(execution)
    take_over(clock, st2)
    launch.launch_due(client=st2)
    before = ActionExecution.objects.values().get()

    launch_responses.record(request, send(request, st2), client=st2)

    assert ActionExecution.objects.values().get() == before
    assert sandbox.posts_by_trace_tag() == {execution.trace_tag: 1}


@pytest.mark.parametrize("is_claimed", [False, True], ids=["pending", "claimed by another"])
def test_a_late_answer_is_taken_before_it_is_sent_again(is_claimed, clock, sandbox, st2, execution):
    request = frozen_in_send(execution)
    take_over(clock, st2)
    if is_claimed:
        other = prepared_launch.prepare_and_claim_one(ActionExecution.objects.get())

    launch_responses.record(request, send(request, st2), client=st2)
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


def test_the_answer_of_an_adopted_launch_is_nothing_new(clock, sandbox, st2, execution):
    request = prepared_launch.prepare_and_claim_one(execution)
    answer = send(request, st2)
    take_over(clock, st2)
    before = ActionExecution.objects.values().get()
    assert before["status"] == "running"

    launch_responses.record(request, answer, client=st2)

    assert ActionExecution.objects.values().get() == before
    assert not notes(execution)


def test_a_surplus_execution_is_kept_on_the_row_and_canceled(clock, sandbox, st2, execution):
    sandbox.configure(outcomes={"core.local": "running"})
    request = frozen_in_send(execution)
    take_over(clock, st2)
    launch.launch_due(client=st2)

    launch_responses.record(request, send(request, st2), client=st2)

    first, second = sandbox.executions
    execution.refresh_from_db()
    assert execution.status == Status.RUNNING
    assert (execution.st2_execution_id, execution.st2_ghost_ids) == (first["id"], [second["id"]])
    assert st2.execution(second["id"]).status in ("canceling", "canceled")
    assert st2.execution(first["id"]).status == "running"
    [note] = notes(execution)
    assert note.data == {"st2_execution_id": first["id"], "canceled": [second["id"]]}
    assert second["id"] in note.reason


def test_a_surplus_execution_is_kept_on_a_row_that_has_ended(clock, sandbox, st2, execution):
    request = frozen_in_send(execution)
    take_over(clock, st2)
    launch.launch_due(client=st2)
    ActionExecution.objects.update(due_at=timezone.now())
    poll.poll_due(client=st2)

    launch_responses.record(request, send(request, st2), client=st2)

    execution.refresh_from_db()
    assert (execution.status, execution.due_at) == (Status.SUCCESS, None)
    assert execution.st2_ghost_ids == [sandbox.executions[1]["id"]]
    assert len(notes(execution)) == 1


def test_a_late_answer_is_kept_when_the_cancel_fails(clock, sandbox, st2, execution):
    request = frozen_in_send(execution)
    take_over(clock, st2)
    launch.launch_due(client=st2)
    answer = send(request, st2)
    sandbox.configure(unavailable=True)

    launch_responses.record(request, answer, client=st2)

    execution.refresh_from_db()
    assert execution.st2_ghost_ids == [answer.result().id]


def test_a_late_answer_tells_how_an_unknown_execution_ended(clock, sandbox, st2, execution):
    request = frozen_in_send(execution)
    for _ in range(lookup.LAUNCHES_MAX - 1):
        take_over(clock, st2)
        assert prepared_launch.prepare_and_claim_one(ActionExecution.objects.get())
    take_over(clock, st2)
    assert ActionExecution.objects.get().status == Status.UNKNOWN

    launch_responses.record(request, send(request, st2), client=st2)
    poll.poll_due(client=st2)

    execution.refresh_from_db()
    assert (execution.status, execution.st2_execution_id) == (
        Status.SUCCESS,
        sandbox.executions[0]["id"],
    )
    assert BucketRun.objects.get().status == "success"


def test_the_look_up_of_an_old_claim_leaves_a_newer_one_alone(clock, sandbox, st2, execution):
    request = prepared_launch.prepare_and_claim_one(execution)
    take_over(clock, st2)
    assert prepared_launch.prepare_and_claim_one(ActionExecution.objects.get())
    before = ActionExecution.objects.values().get()

    lookup.schedule(request.execution, at=timezone.now(), reason="no response")

    assert ActionExecution.objects.values().get() == before


def test_a_slow_look_deletes_nothing_that_another_worker_adopted(clock, sandbox, st2, execution):
    sandbox.configure(outcomes={"core.local": "requested"})
    assert prepared_launch.prepare_and_claim_one(execution)
    take_over_at = ActionExecution.objects.get()
    remote = st2.run_action("core.local", {"cmd": "true"}, trace_tag=execution.trace_tag)
    clock.shift(LONG)
    recover.recover()
    slow = ActionExecution.objects.get()
    take_over_at.mark_running(cause=Cause(), due_at=timezone.now(), st2_execution_id=remote.id)
    before = ActionExecution.objects.values().get()

    lookup._delete(slow, traces.find_launched(slow, client=st2), client=st2)

    assert ActionExecution.objects.values().get() == before
    assert st2.execution(remote.id).status == "requested"


EVENT = ("log_event", {"message": "down"})


@pytest.mark.parametrize("local_execution", [EVENT], indirect=True)
def test_a_local_action_does_not_begin_near_the_end_of_its_lease(clock, local_execution):
    request = prepared_launch.prepare_and_claim_one(local_execution)
    clock.shift(claim.start_within(is_local=True))

    local_launch.execute(request)

    local_execution.refresh_from_db()
    assert (local_execution.status, local_execution.st2_result) == (Status.PENDING, None)
    assert launch.run_local()
    local_execution.refresh_from_db()
    assert local_execution.status == Status.SUCCESS


def stopped_in_a_request(monkeypatch, meanwhile):
    def run(_name, _parameters):
        meanwhile()
        return {"status": 200}

    monkeypatch.setattr("remediation.local_actions.run", run)


REQUEST = ("http_request", {"url": "http://127.0.0.1:9/"})


@pytest.mark.parametrize("local_execution", [REQUEST], indirect=True)
def test_the_late_end_of_a_local_action_counts_if_nobody_else_carried_it_out(
    clock, local_execution, monkeypatch
):
    def meanwhile():
        clock.shift(LONG)
        recover.recover()
        assert ActionExecution.objects.get().status == Status.UNKNOWN

    stopped_in_a_request(monkeypatch, meanwhile)

    launch.run_local()

    local_execution.refresh_from_db()
    assert local_execution.status == Status.SUCCESS
    assert BucketRun.objects.get().status == "success"


@pytest.mark.parametrize("local_execution", [EVENT], indirect=True)
def test_the_late_end_of_a_local_action_is_kept_beside_another_outcome(
    clock, local_execution, monkeypatch
):
    def meanwhile():
        monkeypatch.undo()
        clock.shift(LONG)
        recover.recover()
        assert launch.run_local()

    stopped_in_a_request(monkeypatch, meanwhile)

    launch.run_local()

    local_execution.refresh_from_db()
    assert local_execution.status == Status.SUCCESS
    assert local_execution.st2_result != {"status": 200}
    [note] = notes(local_execution)
    assert "another worker carried it out as well" in note.reason


@pytest.mark.parametrize("local_execution", [REQUEST], indirect=True)
def test_an_unknown_local_action_that_never_began_says_so(clock, local_execution):
    request = prepared_launch.prepare_and_claim_one(local_execution)
    clock.shift(LONG)
    recover.recover()

    local_launch.execute(request)

    local_execution.refresh_from_db()
    assert local_execution.status == Status.UNKNOWN
    [note] = notes(local_execution)
    assert note.reason.startswith("it never began")


@transaction.atomic
def stop_in_a_transaction():
    ActionExecution.objects.update(error_message="stopped")
    time.sleep(1.5)
    ActionExecution.objects.exists()


@pytest.mark.django_db(transaction=True)
@pytest.mark.skipif(connection.vendor != "mysql", reason="SQLite has one writer")
def test_a_worker_that_is_stopped_in_a_transaction_keeps_no_locks(execution):
    with connection.cursor() as cursor:
        cursor.execute("SELECT @@idle_transaction_timeout")
        assert cursor.fetchone() == (40,)
        cursor.execute("SET idle_transaction_timeout = 1")
    with pytest.raises(OperationalError):
        stop_in_a_transaction()
    connection.close()

    assert ActionExecution.objects.get().error_message == ""
