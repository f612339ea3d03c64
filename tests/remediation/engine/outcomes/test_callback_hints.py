"""Callbacks are hints: true or forged, a callback only makes the poll due."""

import datetime
from dataclasses import replace

import pytest
from django.utils import timezone

from remediation.engine.launching import launch
from remediation.engine.outcomes import poll, poll_hints
from remediation.models import ActionExecution, BucketRun, Transition
from remediation.stackstorm import StackStormClient, StackStormRejected, StackStormUnavailable
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
FOREIGN_ID = "f" * 24


@pytest.fixture
def launched(sandbox, st2):
    """Launch a one-step run and return its execution, which never ends."""
    sandbox.configure(outcomes={"core.local": "running"})

    def start():
        bucket = make_bucket()
        make_step(bucket, make_action(st2_runner="local-shell-cmd"), parameters={"cmd": "true"})
        execution = make_execution(make_run(bucket))
        launch.launch_due(client=st2)
        execution.refresh_from_db()
        return execution

    return start


def stored():
    """Return all executions without ``due_at``, all runs and all transitions."""
    rows = ActionExecution.objects.order_by("pk").values()
    return (
        [{name: value for name, value in row.items() if name != "due_at"} for row in rows],
        list(BucketRun.objects.order_by("pk").values()),
        list(Transition.objects.order_by("pk").values()),
    )


@pytest.mark.parametrize("status", Status)
def test_a_hint_changes_no_status_and_returns_its_effect(status):
    row = make_execution(status=status, st2_execution_id="a" * 24)
    before = stored()

    for _ in range(3):
        result = poll_hints.hint(st2_execution_id="a" * 24, trace_tag="")

        assert result == ("unchanged" if status in row.FINAL else "accepted")
    assert stored() == before


def test_a_hint_during_the_post_does_not_change_the_lease():
    lease_until = timezone.now() + datetime.timedelta(minutes=1)
    row = make_execution(status="launching", due_at=lease_until)

    assert poll_hints.hint(st2_execution_id=FOREIGN_ID, trace_tag=row.trace_tag or "") == "accepted"

    row.refresh_from_db()
    assert (row.due_at, row.st2_execution_id) == (lease_until, None)


def test_a_hint_settles_nothing_unless_stackstorm_reports_the_end(st2, launched):
    row = launched()
    ActionExecution.objects.update(due_at=timezone.now())
    poll.poll_due(client=st2)
    before = stored()

    assert poll_hints.hint(st2_execution_id=row.st2_execution_id, trace_tag="") == "accepted"
    poll.poll_due(client=st2)

    assert stored() == before


def test_the_id_wins_over_a_contradicting_trace_tag(st2, launched):
    named, tagged = launched(), launched()
    later = timezone.now() + datetime.timedelta(hours=1)
    ActionExecution.objects.update(due_at=later)

    poll_hints.hint(st2_execution_id=named.st2_execution_id, trace_tag=tagged.trace_tag)

    named.refresh_from_db()
    tagged.refresh_from_db()
    assert named.due_at < later
    assert tagged.due_at == later


def test_repeated_hints_settle_once(sandbox, st2, launched):
    row = launched()
    st2.cancel(row.st2_execution_id)

    results: list[str] = []
    while not results or results[-1] == "accepted":
        results.append(
            poll_hints.hint(st2_execution_id=row.st2_execution_id, trace_tag=row.trace_tag)
        )
        poll.poll_due(client=st2)

    assert results[-1] == "unchanged"
    row.refresh_from_db()
    assert row.status == "skipped"
    ends = Transition.objects.filter(subject_type="execution", to_status="skipped")
    assert ends.count() == 1


def test_hints_for_a_workflow_task_and_a_deleted_ghost_are_ignored():
    row = make_execution(status="running", st2_ghost_ids=["b" * 24], st2_execution_id="a" * 24)
    make_execution(row.run, parent=row, step_order=9, trace_tag=None, st2_execution_id="c" * 24)
    before = stored()

    assert poll_hints.hint(st2_execution_id="b" * 24, trace_tag="") == "ignored"
    assert poll_hints.hint(st2_execution_id="c" * 24, trace_tag="") == "ignored"
    assert stored() == before


def test_a_hint_for_a_local_action_is_ignored():
    bucket = make_bucket()
    make_step(bucket, make_local_action("wait"), parameters={"seconds": 60})
    later = timezone.now() + datetime.timedelta(minutes=1)
    row = make_execution(make_run(bucket), status="running", due_at=later)

    assert poll_hints.hint(st2_execution_id=FOREIGN_ID, trace_tag=row.trace_tag or "") == "ignored"

    row.refresh_from_db()
    assert row.due_at == later


class ContradictoryClient(StackStormClient):
    """Lists every execution as succeeded."""

    def executions(self, ids):
        return [replace(state, status="succeeded") for state in super().executions(ids)]


class UnreadableClient(StackStormClient):
    """Lists executions but fails to return a single one."""

    def execution(self, execution_id):
        raise StackStormUnavailable("GET", "/executions", "too large", may_have_been_sent=True)


class ForgetfulClient(StackStormClient):
    """Lists no execution."""

    def executions(self, ids):
        return []


def poll_with(kind, sandbox):
    client = kind(api_url=sandbox.url, api_key="sandbox-key", timeout=2)
    ActionExecution.objects.update(due_at=timezone.now())
    poll.poll_due(client=client)
    client.close()


@pytest.mark.parametrize("kind", [ContradictoryClient, UnreadableClient, ForgetfulClient])
@pytest.mark.usefixtures("frozen_clock")
def test_a_stackstorm_that_contradicts_itself_settles_nothing(kind, sandbox, launched):
    rows = [launched(), launched()]
    if kind is UnreadableClient:
        sandbox.configure(outcomes={})

    poll_with(kind, sandbox)

    for row in rows:
        row.refresh_from_db()
        assert row.status == "running"
        assert row.due_at > timezone.now()


class EndedButUnreadableClient(ContradictoryClient, UnreadableClient):
    """Lists every execution as succeeded but fails to return one."""


class RefusingClient(StackStormClient):
    """Refuses to cancel."""

    def cancel(self, execution_id):
        raise StackStormRejected("DELETE", f"/executions/{execution_id}", 403, "not yours")


@pytest.mark.parametrize(
    "kind", [ContradictoryClient, EndedButUnreadableClient, ForgetfulClient, RefusingClient]
)
def test_an_execution_becomes_unknown_if_stackstorm_neither_reports_nor_ends_it(
    kind, sandbox, launched
):
    row = launched()
    long_ago = timezone.now() - datetime.timedelta(days=2)
    ActionExecution.objects.update(running_at=long_ago, started_at=long_ago)

    poll_with(kind, sandbox)

    row.refresh_from_db()
    assert row.status == "unknown"
    assert row.error_message
    assert BucketRun.objects.get().status == "unknown"
