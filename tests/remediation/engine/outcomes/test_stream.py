"""The stream settles executions without a poll; polls cover missed and unclear events."""

from dataclasses import replace
from datetime import timedelta
from threading import Event
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import InterfaceError, OperationalError
from django.utils import timezone
from django_q.models import OrmQ

from remediation import queue
from remediation.engine.launching import launch
from remediation.engine.outcomes import poll, poll_hints, poll_interval, remote_status, stream
from remediation.models import ActionExecution, BucketRun, Heartbeat, Transition
from remediation.models.raw_sql import compare_and_set
from remediation.stackstorm import StackStormClient, StackStormUnavailable
from tests.factories import make_action, make_bucket, make_execution, make_run, make_step

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def stream_url(sandbox, settings):
    settings.ST2_STREAM_URL = sandbox.url
    return sandbox.url


@pytest.fixture
def launched(sandbox, st2):
    """Launch a one-step run; its poll is due in an hour."""

    def start():
        bucket = make_bucket()
        make_step(bucket, make_action(st2_runner="local-shell-cmd"), parameters={"cmd": "true"})
        execution = make_execution(make_run(bucket))
        launch.launch_due(client=st2)
        execution.refresh_from_db()
        postpone_poll(execution)
        return execution

    return start


def postpone_poll(execution):
    later = timezone.now() + timedelta(hours=1)
    ActionExecution.objects.filter(pk=execution.pk).update(due_at=later)
    execution.refresh_from_db()


def is_due(execution):
    execution.refresh_from_db()
    return execution.due_at is not None and execution.due_at <= timezone.now()


def event_of(st2, execution, **changed):
    """Return StackStorm's event for the execution as it is now."""
    return replace(st2.execution(execution.st2_execution_id), **changed)


class Scripted(StackStormClient):
    """A client whose connections yield the given items; an exception item breaks the connection."""

    def __init__(self, *connections):
        self.connections = list(connections)

    def follow(self, _url):
        if not self.connections:
            raise ScriptEnded
        for items in self.connections.pop(0):
            if isinstance(items, Exception):
                raise items
            yield items


class ScriptEnded(Exception):
    """No scripted connection is left."""


CUT = StackStormUnavailable("GET", "/stream", "cut", may_have_been_sent=True)


# listen closes old connections, which has no effect inside a transaction.
@pytest.mark.django_db(transaction=True)
def test_an_event_settles_its_execution_without_a_request(sandbox, st2, launched, monkeypatch):
    sandbox.configure(duration_seconds=0.3)
    monkeypatch.setattr(stream, "BATCH_EVENTS_MAX", 1)
    apply_events = stream.apply_events
    executions: list[ActionExecution] = []
    requests: list[tuple[str, str]] = []

    def apply_and_cut(updates, **options):
        if not executions:
            # The stream is connected: StackStorm sends every event of this execution.
            executions.append(launched())
            requests.extend(sandbox.requests)
        unmatched = apply_events(updates, **options)
        if any(remote.status == "succeeded" for remote in updates):
            sandbox.stop()
        return unmatched

    monkeypatch.setattr(stream, "apply_events", apply_and_cut)
    with pytest.raises(StackStormUnavailable):
        stream.listen(client=st2)

    [execution] = executions
    execution.refresh_from_db()
    assert (execution.status, execution.st2_action_execution_status) == ("success", "succeeded")
    assert execution.running_at is not None, "its earlier events are applied as well"
    assert execution.st2_result is not None
    assert execution.st2_result["succeeded"]
    assert BucketRun.objects.get().status == "success"
    [last] = Transition.objects.filter(subject_type="execution", to_status="success")
    assert last.actor == "stackstorm"
    assert requests[0][1].startswith("/v1/stream?")
    assert list(sandbox.requests) == requests


@pytest.mark.parametrize(
    ("st2_status", "status"),
    [
        ("succeeded", "success"),
        ("failed", "failure"),
        ("abandoned", "failure"),
        ("timeout", "timeout"),
        ("canceled", "skipped"),
    ],
)
def test_every_final_status_settles_once(st2_status, status, st2, launched):
    execution = launched()
    event = event_of(st2, execution, status=st2_status)

    for _ in range(2):
        stream.apply_events([event])

    execution.refresh_from_db()
    assert (execution.status, execution.st2_action_execution_status) == (status, st2_status)
    assert Transition.objects.filter(subject_type="execution", to_status=status).count() == 1


@pytest.mark.parametrize(
    "st2_status",
    ["requested", "scheduled", "delayed", "running", "pausing", "pending", "new-status"],
)
def test_another_status_is_stored_and_settles_nothing(st2_status, st2, launched):
    execution = launched()

    stream.apply_events([event_of(st2, execution, status=st2_status)])

    execution.refresh_from_db()
    assert (execution.status, execution.st2_action_execution_status) == ("running", st2_status)
    assert (execution.running_at is not None) == (st2_status == "running")
    # In these statuses there may be an inquiry, which the poll reads.
    assert is_due(execution) == (st2_status in {"pausing", "pending"})


def test_statuses_are_stored_after_a_deadlock(st2, launched, monkeypatch):
    executions = [launched(), launched()]
    ActionExecution.objects.update(st2_action_execution_status="requested", running_at=None)
    real_update, conflicts = compare_and_set, [executions[1].pk]

    def fail_once(row, **columns):
        if row.pk in conflicts:
            conflicts.clear()
            raise OperationalError(1213, "Deadlock found when trying to get lock")
        return real_update(row, **columns)

    monkeypatch.setattr(remote_status, "compare_and_set", fail_once)

    stream.apply_events([event_of(st2, execution, status="running") for execution in executions])

    assert not conflicts
    for execution in executions:
        execution.refresh_from_db()
        assert execution.st2_action_execution_status == "running"
        assert execution.running_at is not None


def test_events_of_other_systems_are_ignored(st2, launched):
    execution = launched()
    foreign = event_of(st2, execution, id="0" * 24, status="failed", context={})

    stream.apply_events([foreign])

    execution.refresh_from_db()
    assert execution.status == "running"
    assert not is_due(execution)


def test_a_task_with_our_trace_tag_does_not_end_its_workflow(st2, launched):
    execution = launched()
    parent = {"parent": {"execution_id": execution.st2_execution_id}}
    tag = {"trace_context": {"trace_tag": execution.trace_tag}}

    stream.apply_events(
        [event_of(st2, execution, id="0" * 24, status="failed", context=parent | tag)]
    )

    execution.refresh_from_db()
    assert execution.status == "running"
    assert not is_due(execution)


def test_a_workflow_is_left_to_the_poll_that_reads_its_tasks(st2, launched):
    execution = launched()
    ActionExecution.objects.update(step_order=0)

    stream.apply_events([event_of(st2, execution, status="succeeded")])

    assert is_due(execution)
    assert execution.status == "running"
    assert OrmQ.objects.exists()


def test_an_unanswered_launch_is_left_to_the_poll_that_finds_duplicates(st2, launched):
    execution = launched()
    ActionExecution.objects.update(unanswered_launches=1)

    stream.apply_events([event_of(st2, execution, status="succeeded")])

    assert is_due(execution)
    assert execution.status == "running"


@pytest.mark.parametrize("is_looked_up", [True, False])
def test_an_event_before_the_response_only_hints_the_look_up(is_looked_up, st2, launched):
    execution = launched()
    event = event_of(st2, execution, status="succeeded")
    later = timezone.now() + timedelta(hours=1)
    ActionExecution.objects.update(
        status="launching",
        st2_execution_id=None,
        due_at=later,
        lookup_until=later if is_looked_up else None,
    )

    stream.apply_events([event])

    assert is_due(execution) == is_looked_up, "a POST in progress must not be treated as lost"
    assert (execution.status, execution.st2_execution_id) == ("launching", None)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("is_in_time", [True, False])
def test_a_final_event_before_the_launch_is_recorded_is_applied_again(
    is_in_time, st2, launched, monkeypatch
):
    execution = launched()
    event = event_of(st2, execution, status="succeeded")
    stored = ActionExecution.objects.filter(pk=execution.pk)
    stored.update(status="launching", st2_execution_id=None)
    monkeypatch.setattr(stream, "PENDING_SECONDS", 60 if is_in_time else -1)
    monkeypatch.setattr(stream, "batched", iter)

    def items():
        yield [event]
        stored.update(status="running", st2_execution_id=event.id)
        yield []
        raise CUT

    with pytest.raises(StackStormUnavailable):
        stream.listen(client=Scripted(items()))

    execution.refresh_from_db()
    assert execution.status == ("success" if is_in_time else "running")


def test_events_received_while_others_are_applied_form_one_batch():
    is_read = Event()

    def items():
        yield ["a"]
        is_read.wait()
        yield ["b"]
        yield ["c", "d"]
        raise CUT

    batches: list[Any] = []

    def read_all():
        for updates in stream.batched(items()):
            batches.append(updates)
            is_read.set()

    with pytest.raises(StackStormUnavailable):
        read_all()
    assert batches == [["a"], ["b", "c", "d"]]


@pytest.mark.parametrize("is_followed", [True, False])
@pytest.mark.usefixtures("frozen_clock")
def test_the_first_poll_is_later_while_the_stream_is_followed(is_followed, launched, settings):
    settings.POLL_INTERVAL = 80.0
    if is_followed:
        Heartbeat.record(poll_interval.STREAM_HEARTBEAT, at=timezone.now())

    launched()

    first = min(OrmQ.objects.filter(key=queue.FOLLOW).values_list("lock", flat=True))
    assert (first > timezone.now() + timedelta(seconds=70)) == is_followed


def test_an_unknown_execution_is_settled_by_a_late_event(st2, launched):
    execution = launched()
    ActionExecution.objects.update(status="unknown")
    BucketRun.objects.update(status="unknown")

    stream.apply_events([event_of(st2, execution, status="succeeded")])

    execution.refresh_from_db()
    assert execution.status == "success"
    assert BucketRun.objects.get().status == "success"


@pytest.mark.django_db(transaction=True)
def test_each_new_connection_makes_all_polls_due_once(st2, launched):
    execution = launched()
    script = Scripted([[], [], CUT], [CUT], [[], CUT])
    was_due = []

    def wait(_seconds):
        was_due.append(is_due(execution))
        postpone_poll(execution)

    with pytest.raises(ScriptEnded):
        stream.follow(client=script, wait=wait)

    assert was_due == [True, False, True], "a connection without any event does not count"
    assert poll.poll_due(client=st2) == 0


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    "error", [OperationalError("gone"), InterfaceError(0, "")], ids=["lost", "closed"]
)
def test_a_database_error_does_not_end_the_follower(error, launched, monkeypatch):
    launched()
    breaks = [error]

    def fail_first_time():
        if breaks:
            raise breaks.pop()

    monkeypatch.setattr(poll_hints, "hint_all_running", fail_first_time)
    waits: list[float] = []

    with pytest.raises(ScriptEnded):
        stream.follow(client=Scripted([[]], [[], CUT]), wait=waits.append)

    assert len(waits) == 2


def test_reconnects_back_off_during_an_outage():
    waits: list[float] = []

    with pytest.raises(ScriptEnded):
        stream.follow(client=Scripted(*[[CUT]] * 30), wait=waits.append)

    assert waits[0] <= 1.0
    assert all(15.0 <= seconds <= 30.0 for seconds in waits[10:])
    assert len(set(waits[10:])) > 1, "jitter spreads the reconnects"


@pytest.mark.parametrize(
    ("name", "value"),
    [("ST2_STREAM_URL", ""), ("ST2_STREAM_URL", "st2.example.com"), ("ST2_API_URL", "")],
)
def test_the_command_names_the_missing_setting(name, value, settings):
    settings.ST2_API_URL = settings.ST2_STREAM_URL
    setattr(settings, name, value)

    with pytest.raises(CommandError, match=rf"^{name} "):
        call_command("follow_stackstorm")
