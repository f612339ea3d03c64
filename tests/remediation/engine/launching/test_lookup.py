"""Launches without a response: adopted if found by trace tag, else resent once or unknown."""

import datetime
import time
from dataclasses import replace

import pytest
import requests
import time_machine
from django.utils import timezone

from remediation.engine.launching import launch, lookup, recover
from remediation.engine.outcomes import poll
from remediation.models import ActionExecution, BucketRun, Cause, Transition
from remediation.stackstorm import StackStormClient
from tests.factories import make_bucket, make_execution, make_run
from tests.remediation.engine.launching.due_executions import due_execution

pytestmark = pytest.mark.django_db

Status = ActionExecution.Status
FAULTS = ("drop_request_rate", "drop_answer_rate", "error_rate", "ghost_rate")
TIMEOUT_SECONDS = 10.0


@pytest.fixture
def ended_window(settings):
    """End the look-up window before the first look-up."""
    settings.LAUNCH_LOOKUP_SECONDS = 0.0


@pytest.fixture
def launch_into(sandbox, st2):
    """Return a function that launches a one-step run during a fault, which then ends."""

    def start(fault, **options):
        execution = due_execution()
        sandbox.configure(**{fault: 1.0}, **options)
        launch.launch_due(client=st2)
        sandbox.configure(**{fault: 0.0})
        execution.refresh_from_db()
        return execution

    return start


def look_up(client):
    """Make all look-ups due and run them."""
    waiting = ActionExecution.objects.filter(lookup_until__isnull=False, status=Status.LAUNCHING)
    waiting.update(due_at=timezone.now())
    lookup.look_up_due(client=client)


def look_up_until(execution, status, client):
    until = time.monotonic() + TIMEOUT_SECONDS
    while execution.status != status and time.monotonic() < until:
        look_up(client)
        execution.refresh_from_db()
    assert execution.status == status


def relaunch(execution, client):
    launch.launch_due(client=client)
    execution.refresh_from_db()


def moves_of(row):
    rows = Transition.objects.filter(subject_type=row.SUBJECT_TYPE, subject_id=row.pk)
    return [move.to_status for move in rows.order_by("pk")]


def remote_statuses(sandbox):
    return [execution["status"] for execution in sandbox.executions]


@pytest.mark.usefixtures("frozen_clock")
def test_a_launch_without_a_response_waits_for_its_look_up_with_the_reason(settings, launch_into):
    settings.LAUNCH_LOOKUP_SECONDS = 300.0

    execution = launch_into("drop_answer_rate")

    assert (execution.status, execution.unanswered_launches) == (Status.LAUNCHING, 1)
    assert execution.due_at - execution.started_at < datetime.timedelta(seconds=30)
    assert execution.lookup_until - execution.due_at == datetime.timedelta(seconds=299)
    assert (
        "Looking for the execution in StackStorm: StackStorm gave no response"
        in execution.error_message
    )
    assert moves_of(execution) == ["launching"]


def test_a_launch_whose_response_was_lost_is_adopted_and_sent_once(sandbox, st2, launch_into):
    execution = launch_into("drop_answer_rate")

    look_up(st2)

    execution.refresh_from_db()
    [remote] = sandbox.executions
    assert (execution.status, execution.st2_execution_id) == (Status.RUNNING, remote["id"])
    assert execution.error_message == ""
    assert moves_of(execution) == ["launching", "running"]
    assert Transition.objects.latest("pk").reason == "found in StackStorm by its trace tag"
    assert sandbox.posts_by_trace_tag() == {execution.trace_tag: 1}
    poll.poll_due(client=st2)
    assert BucketRun.objects.get().status == "success"


def test_a_workflow_whose_response_was_lost_is_adopted_but_not_its_tasks(sandbox, st2):
    bucket = make_bucket(
        use_stackstorm=True, st2_workflow_name="host_down", st2_workflow_pack="remediation"
    )
    execution = make_execution(make_run(bucket))
    sandbox.configure(drop_answer_rate=1.0)
    launch.launch_due(client=st2)

    look_up(st2)

    execution.refresh_from_db()
    [root] = [remote for remote in sandbox.executions if "parent" not in remote]
    assert execution.st2_execution_id == root["id"]


@pytest.mark.parametrize("fault", FAULTS)
def test_nothing_is_resent_within_the_look_up_window(fault, sandbox, st2, launch_into):
    execution = launch_into(fault, land_late_seconds=3600)
    sent = sandbox.posts_by_trace_tag()

    for _ in range(3):
        look_up(st2)
        launch.launch_due(client=st2)
        recover.recover()

    execution.refresh_from_db()
    assert (execution.status, execution.unanswered_launches) == (Status.LAUNCHING, 1)
    assert sandbox.posts_by_trace_tag() == sent
    assert not any(method == "DELETE" for method, _ in sandbox.requests)


def test_a_launch_that_arrives_late_is_adopted(sandbox, st2, launch_into):
    execution = launch_into("drop_answer_rate", land_late_seconds=0.3)

    look_up_until(execution, Status.RUNNING, st2)

    assert sandbox.posts_by_trace_tag() == {execution.trace_tag: 1}


@pytest.mark.usefixtures("ended_window")
@pytest.mark.parametrize(
    ("fault", "posts"),
    [("drop_request_rate", 1), ("error_rate", 2)],
    ids=["lost request", "500"],
)
def test_a_launch_not_found_after_the_window_is_resent_once(
    fault, posts, sandbox, st2, launch_into
):
    execution = launch_into(fault)

    look_up(st2)

    execution.refresh_from_db()
    assert execution.status == Status.PENDING
    assert execution.error_message.endswith("none that ever began: resent")
    relaunch(execution, st2)
    assert execution.status == Status.RUNNING
    assert moves_of(execution) == ["launching", "pending", "launching", "running"]
    assert sandbox.posts_by_trace_tag() == {execution.trace_tag: posts}
    assert len(sandbox.executions) == 1


@pytest.mark.usefixtures("ended_window")
@pytest.mark.parametrize("fault", ["drop_request_rate", "error_rate"])
def test_an_execution_is_unknown_after_two_launches_that_are_not_found(
    fault, sandbox, st2, launch_into
):
    execution = launch_into(fault)
    look_up(st2)
    sandbox.configure(**{fault: 1.0})
    relaunch(execution, st2)
    assert execution.unanswered_launches == 2

    look_up(st2)

    execution.refresh_from_db()
    assert execution.status == Status.UNKNOWN
    assert execution.trace_tag in execution.error_message
    assert BucketRun.objects.get().status == "unknown"
    sent = sandbox.posts_by_trace_tag()
    sandbox.configure(**{fault: 0.0})
    launch.launch_due(client=st2)
    look_up(st2)
    assert sandbox.posts_by_trace_tag() == sent
    assert not sandbox.executions


@pytest.mark.usefixtures("ended_window")
def test_a_ghost_is_canceled_verified_and_resent(sandbox, st2, launch_into):
    execution = launch_into("ghost_rate")

    look_up(st2)

    execution.refresh_from_db()
    assert execution.status == Status.LAUNCHING
    assert execution.st2_ghost_ids == [sandbox.executions[0]["id"]]
    assert remote_statuses(sandbox) == ["canceled"]
    look_up(st2)
    execution.refresh_from_db()
    assert execution.status == Status.PENDING
    assert "none that ever began" in execution.error_message
    relaunch(execution, st2)
    assert execution.status == Status.RUNNING
    assert execution.st2_execution_id == sandbox.executions[1]["id"]
    assert remote_statuses(sandbox) == ["canceled", "succeeded"]
    assert sandbox.posts_by_trace_tag() == {execution.trace_tag: 2}
    assert not sandbox.started_twice()


@pytest.mark.usefixtures("ended_window")
def test_ghosts_are_resent_without_a_limit(sandbox, st2, launch_into):
    execution = launch_into("ghost_rate")
    sandbox.configure(ghost_rate=1.0)

    for ghosts in (1, 2, 3):
        assert remote_statuses(sandbox) == ["canceled"] * (ghosts - 1) + ["requested"]
        assert execution.unanswered_launches == ghosts
        look_up(st2)
        look_up(st2)
        sandbox.configure(ghost_rate=1.0 if ghosts < 3 else 0.0)
        relaunch(execution, st2)

    assert execution.status == Status.RUNNING
    assert remote_statuses(sandbox) == ["canceled"] * 3 + ["succeeded"]
    assert sandbox.posts_by_trace_tag() == {execution.trace_tag: 4}


class DyingClient(StackStormClient):
    """The client of a worker that dies before it cancels a ghost."""

    def cancel(self, execution_id):
        raise KeyboardInterrupt


@pytest.mark.usefixtures("ended_window")
def test_a_ghost_is_canceled_before_a_resend_although_a_worker_died(sandbox, st2, launch_into):
    execution = launch_into("ghost_rate")
    dying = DyingClient(api_url=sandbox.url, api_key="sandbox-key", timeout=2)
    with pytest.raises(KeyboardInterrupt):
        look_up(dying)
    dying.close()
    assert remote_statuses(sandbox) == ["requested"]

    look_up_until(execution, Status.PENDING, st2)

    assert remote_statuses(sandbox) == ["canceled"]


class OutdatedClient(StackStormClient):
    """A client that still finds executions as requested after they have begun."""

    def find_by_trace_tag(self, tag, **options):
        found = super().find_by_trace_tag(tag, **options)
        return [replace(execution, status="requested") for execution in found]


@pytest.fixture
def outdated(sandbox):
    client = OutdatedClient(api_url=sandbox.url, api_key="sandbox-key", timeout=2)
    yield client
    client.close()


@pytest.mark.usefixtures("ended_window")
@pytest.mark.parametrize(
    ("remote_status", "status", "run_status"),
    [("succeeded", "success", "success"), ("running", "unknown", "unknown")],
    ids=["it had ended", "it was canceled while it ran"],
)
def test_a_ghost_that_ran_after_all_is_adopted(
    remote_status, status, run_status, sandbox, st2, outdated, launch_into
):
    execution = launch_into("drop_answer_rate", outcomes={"core.local": remote_status})
    look_up(outdated)
    execution.refresh_from_db()
    assert (execution.status, len(execution.st2_ghost_ids)) == (Status.LAUNCHING, 1)

    look_up_until(execution, Status.RUNNING, st2)

    poll.poll_due(client=st2)
    execution.refresh_from_db()
    assert execution.status == status
    assert BucketRun.objects.get().status == run_status
    assert sandbox.posts_by_trace_tag() == {execution.trace_tag: 1}


@pytest.mark.usefixtures("ended_window")
@pytest.mark.parametrize("was_sent", [True, False])
def test_a_launch_whose_worker_died_is_looked_up_and_sent_once(was_sent, sandbox, st2):
    execution = due_execution(status="launching")
    execution.run.mark_running(cause=Cause())
    if was_sent:
        st2.run_action("core.local", {"cmd": "true"}, trace_tag=execution.trace_tag)

    assert recover.recover() == 1
    look_up(st2)
    relaunch(execution, st2)

    assert (execution.status, execution.unanswered_launches) == (Status.RUNNING, 1)
    assert execution.st2_execution_id == sandbox.executions[0]["id"]
    assert sandbox.posts_by_trace_tag() == {execution.trace_tag: 1}


@pytest.mark.usefixtures("frozen_clock", "ended_window")
@pytest.mark.parametrize("fault", ["unavailable", "unauthorized"])
def test_a_failed_look_up_is_retried_later(fault, sandbox, st2, launch_into):
    execution = launch_into("drop_answer_rate")
    sandbox.configure(**{fault: True})

    look_up(st2)

    execution.refresh_from_db()
    assert execution.status == Status.LAUNCHING
    assert timezone.now() < execution.due_at
    sandbox.configure(**{fault: False})
    look_up(st2)
    execution.refresh_from_db()
    assert execution.status == Status.RUNNING
    assert sandbox.posts_by_trace_tag() == {execution.trace_tag: 1}


@pytest.mark.usefixtures("ended_window")
@pytest.mark.parametrize(
    "context",
    [
        {"parent": {"execution_id": "f" * 24}},
        {"policies": {"retry": {"retry_count": 1}}},
        {"re-run": {"ref": "f" * 24}},
    ],
    ids=["task of a workflow", "retry policy", "re-run"],
)
def test_executions_derived_from_a_launch_are_not_adopted(context, sandbox, st2, launch_into):
    execution = launch_into("drop_request_rate")
    trace_context = {"trace_context": {"trace_tag": execution.trace_tag}}
    requests.post(
        f"{sandbox.url}/executions",
        json={
            "action": "core.local",
            "parameters": {"cmd": "true"},
            "context": context | trace_context,
        },
        headers={"St2-Api-Key": "sandbox-key"},
        timeout=5,
    ).raise_for_status()

    look_up(st2)

    execution.refresh_from_db()
    assert (execution.status, execution.st2_execution_id) == (Status.PENDING, None)


class SlowClient(StackStormClient):
    """A client that calls ``meanwhile`` before it returns what it found."""

    meanwhile = staticmethod(lambda: None)

    def find_by_trace_tag(self, tag, **options):
        found = super().find_by_trace_tag(tag, **options)
        self.meanwhile()
        return found


@pytest.mark.usefixtures("ended_window")
@pytest.mark.parametrize(
    "launches", [1, 2], ids=["the row being looked up", "a later row of the batch"]
)
def test_a_slow_look_up_does_not_resend_a_row_resent_by_another_worker(
    launches, sandbox, st2, launch_into
):
    executions = [launch_into("drop_request_rate") for _ in range(launches)]
    slow = SlowClient(api_url=sandbox.url, api_key="sandbox-key", timeout=2)
    claimed = []

    def another_worker():
        slow.meanwhile = SlowClient.meanwhile
        with time_machine.travel(timezone.now() + datetime.timedelta(seconds=5)):
            lookup.look_up_due(client=st2)
            # It claims the released rows and is about to send them when the slow worker continues.
            for row in ActionExecution.objects.filter(status=Status.PENDING):
                row.claim(cause=Cause(), lease_until=timezone.now())
                claimed.append(row)

    slow.meanwhile = another_worker
    look_up(slow)
    slow.close()

    for row in claimed:
        st2.run_action("core.local", {"cmd": "true"}, trace_tag=row.trace_tag)
    launch.launch_due(client=st2)
    assert sandbox.posts_by_trace_tag() == {row.trace_tag: 1 for row in executions}
