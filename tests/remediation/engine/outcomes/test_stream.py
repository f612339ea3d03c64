"""Follow the stream: executions end without a poll, and what it does not tell is polled."""

from dataclasses import replace
from datetime import timedelta
from threading import Event

import pytest
from django.core.management import CommandError, call_command
from django.db import InterfaceError, OperationalError
from django.utils import timezone
from django_q.models import OrmQ

from remediation import queue
from remediation.engine.launching import launch
from remediation.engine.outcomes import poll, poll_hints, poll_interval, remote_status, stream
from remediation.models import ActionExecution, BucketRun, Heartbeat, Transition
from remediation.stackstorm import StackStormUnavailable
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
        put_off(execution)
        return execution

    return start


def put_off(execution):
    later = timezone.now() + timedelta(hours=1)
    ActionExecution.objects.filter(pk=execution.pk).update(due_at=later)
    execution.refresh_from_db()


def is_due(execution):
    execution.refresh_from_db()
    return execution.due_at is not None and execution.due_at <= timezone.now()


def seen(st2, execution, **changed):
    """Return the execution as StackStorm tells it now."""
    return replace(st2.execution(execution.st2_execution_id), **changed)


class Scripted:
    """A client whose connections tell what was written down, each until it breaks."""

    def __init__(self, *connections):
        self.connections = list(connections)

    def follow(self, _url):
        if not self.connections:
            raise Enough
        for told in self.connections.pop(0):
            if isinstance(told, Exception):
                raise told
            yield told


class Enough(Exception):
    """The script is over."""


CUT = StackStormUnavailable("GET", "/stream", "cut", may_have_been_sent=True)


@pytest.mark.django_db(transaction=True)  # it closes old connections, but not within a transaction
def test_an_execution_is_settled_by_its_event_without_a_request(
    sandbox, st2, launched, monkeypatch
):
    sandbox.configure(duration_seconds=0.3)
    execution = launched()
    before = len(sandbox.requests)
    take = stream.apply_events

    def take_and_cut(moved, **options):
        early = take(moved, **options)
        if any(remote.status == "succeeded" for remote in moved):
            sandbox.stop()
        return early

    monkeypatch.setattr(stream, "apply_events", take_and_cut)
    with pytest.raises(StackStormUnavailable):
        stream.listen(client=st2)

    execution.refresh_from_db()
    assert (execution.status, execution.st2_action_execution_status) == ("success", "succeeded")
    assert execution.running_at is not None, "its events before were taken too"
    assert execution.st2_result["succeeded"]
    assert BucketRun.objects.get().status == "success"
    [last] = Transition.objects.filter(subject_type="execution", to_status="success")
    assert last.actor == "stackstorm"
    assert [path.partition("?")[0] for _, path in sandbox.requests[before:]] == ["/v1/stream"]


@pytest.mark.parametrize(
    ("word", "status"),
    [
        ("succeeded", "success"),
        ("failed", "failure"),
        ("abandoned", "failure"),
        ("timeout", "timeout"),
        ("canceled", "skipped"),
    ],
)
def test_every_final_word_settles_once(word, status, st2, launched):
    execution = launched()
    event = seen(st2, execution, status=word)

    for _ in range(2):
        stream.apply_events([event])

    execution.refresh_from_db()
    assert (execution.status, execution.st2_action_execution_status) == (status, word)
    assert Transition.objects.filter(subject_type="execution", to_status=status).count() == 1


@pytest.mark.parametrize(
    "word", ["requested", "scheduled", "delayed", "running", "pausing", "pending", "new-word"]
)
def test_another_word_is_kept_and_moves_nothing(word, st2, launched):
    execution = launched()

    stream.apply_events([seen(st2, execution, status=word)])

    execution.refresh_from_db()
    assert (execution.status, execution.st2_action_execution_status) == ("running", word)
    assert (execution.running_at is not None) == (word == "running")
    # Where a person may be asked, the poll looks for the inquiry at once.
    assert is_due(execution) == (word in {"pausing", "pending"})


def test_words_whose_transaction_lost_a_race_are_kept_all_the_same(st2, launched, monkeypatch):
    executions = [launched(), launched()]
    ActionExecution.objects.update(st2_action_execution_status="requested", running_at=None)
    keep, lost = remote_status.compare_and_set, [executions[1].pk]

    def keep_or_lose(row, **columns):
        if row.pk in lost:
            lost.clear()
            raise OperationalError(1213, "Deadlock found when trying to get lock")
        return keep(row, **columns)

    monkeypatch.setattr(remote_status, "compare_and_set", keep_or_lose)

    stream.apply_events([seen(st2, execution, status="running") for execution in executions])

    assert not lost
    for execution in executions:
        execution.refresh_from_db()
        assert execution.st2_action_execution_status == "running"
        assert execution.running_at is not None


def test_the_events_of_strangers_are_passed_over(st2, launched):
    execution = launched()
    stranger = seen(st2, execution, id="0" * 24, status="failed", context={})

    stream.apply_events([stranger])

    execution.refresh_from_db()
    assert execution.status == "running"
    assert not is_due(execution)


def test_a_task_that_bears_our_tag_does_not_end_its_workflow(st2, launched):
    execution = launched()
    parent = {"parent": {"execution_id": execution.st2_execution_id}}
    tag = {"trace_context": {"trace_tag": execution.trace_tag}}

    stream.apply_events([seen(st2, execution, id="0" * 24, status="failed", context=parent | tag)])

    execution.refresh_from_db()
    assert execution.status == "running"
    assert not is_due(execution)


def test_a_workflow_is_left_to_the_poll_that_fetches_its_tasks(st2, launched):
    execution = launched()
    ActionExecution.objects.update(step_order=0)

    stream.apply_events([seen(st2, execution, status="succeeded")])

    assert is_due(execution)
    assert execution.status == "running"
    assert OrmQ.objects.exists()


def test_what_was_launched_twice_is_left_to_the_poll_that_looks_for_the_other(st2, launched):
    execution = launched()
    ActionExecution.objects.update(unanswered_launches=1)

    stream.apply_events([seen(st2, execution, status="succeeded")])

    assert is_due(execution)
    assert execution.status == "running"


@pytest.mark.parametrize("is_looked_up", [True, False])
def test_an_event_before_the_answer_invents_nothing(is_looked_up, st2, launched):
    execution = launched()
    event = seen(st2, execution, status="succeeded")
    later = timezone.now() + timedelta(hours=1)
    ActionExecution.objects.update(
        status="launching",
        st2_execution_id=None,
        due_at=later,
        lookup_next_try_at=later if is_looked_up else None,
    )

    stream.apply_events([event])

    assert is_due(execution) == is_looked_up, "a POST under way must not be taken for lost"
    assert (execution.status, execution.st2_execution_id) == ("launching", None)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("is_patient", [True, False])
def test_an_end_before_the_record_of_the_launch_is_told_again(
    is_patient, st2, launched, monkeypatch
):
    execution = launched()
    event = seen(st2, execution, status="succeeded")
    on_record = ActionExecution.objects.filter(pk=execution.pk)
    on_record.update(status="launching", st2_execution_id=None)
    monkeypatch.setattr(stream, "PENDING_SECONDS", 60 if is_patient else -1)
    monkeypatch.setattr(stream, "batched", iter)

    def told():
        yield [event]
        on_record.update(status="running", st2_execution_id=event.id)
        yield []
        raise CUT

    with pytest.raises(StackStormUnavailable):
        stream.listen(client=Scripted(told()))

    execution.refresh_from_db()
    assert execution.status == ("success" if is_patient else "running")


def test_events_that_come_while_others_are_taken_are_taken_together():
    is_taken = Event()

    def told():
        yield ["a"]
        is_taken.wait()
        yield ["b"]
        yield ["c", "d"]
        raise CUT

    batches = []

    def take_all():
        for moved in stream.batched(told()):
            batches.append(moved)
            is_taken.set()

    with pytest.raises(StackStormUnavailable):
        take_all()
    assert batches == [["a"], ["b", "c", "d"]]


@pytest.mark.parametrize("is_followed", [True, False])
def test_the_first_poll_of_what_the_stream_tells_of_can_wait(is_followed, launched, settings):
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

    stream.apply_events([seen(st2, execution, status="succeeded")])

    execution.refresh_from_db()
    assert execution.status == "success"
    assert BucketRun.objects.get().status == "success"


@pytest.mark.django_db(transaction=True)
def test_after_each_connection_all_that_runs_is_asked_for_once(st2, launched):
    execution = launched()
    script = Scripted([[], [], CUT], [CUT], [[], CUT])
    asked = []

    def wait(_seconds):
        asked.append(is_due(execution))
        put_off(execution)

    with pytest.raises(Enough):
        stream.follow(client=script, wait=wait)

    assert asked == [True, False, True], "a connection that shows no sign of life is none"
    assert poll.poll_due(client=st2) == 0


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    "error", [OperationalError("gone"), InterfaceError(0, "")], ids=["lost", "closed"]
)
def test_a_broken_database_is_no_end(error, launched, monkeypatch):
    launched()
    breaks = [error]

    def ask_for_all():
        if breaks:
            raise breaks.pop()

    monkeypatch.setattr(poll_hints, "hint_all_running", ask_for_all)
    waits = []

    with pytest.raises(Enough):
        stream.follow(client=Scripted([[]], [[], CUT]), wait=waits.append)

    assert len(waits) == 2


def test_a_stream_that_stays_away_is_asked_for_ever_more_seldom():
    waits = []

    with pytest.raises(Enough):
        stream.follow(client=Scripted(*[[CUT]] * 30), wait=waits.append)

    assert waits[0] <= 1.0
    assert all(15.0 <= seconds <= 30.0 for seconds in waits[10:])
    assert len(set(waits[10:])) > 1, "those who lost it together do not come back together"


@pytest.mark.parametrize(
    ("name", "value"),
    [("ST2_STREAM_URL", ""), ("ST2_STREAM_URL", "st2.example.com"), ("ST2_API_URL", "")],
)
def test_the_command_names_the_setting_that_it_lacks(name, value, settings):
    settings.ST2_API_URL = settings.ST2_STREAM_URL
    setattr(settings, name, value)

    with pytest.raises(CommandError, match=rf"^{name} "):
        call_command("follow_stackstorm")
