"""Callbacks are hints: whoever sends one, true or forged, only has StackStorm asked."""

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
STRANGER = "f" * 24


@pytest.fixture
def launched(sandbox, st2):
    """Launch a one-step run whose execution goes on for ever; return that."""
    sandbox.configure(outcomes={"core.local": "running"})

    def start():
        bucket = make_bucket()
        make_step(bucket, make_action(st2_runner="local-shell-cmd"), parameters={"cmd": "true"})
        execution = make_execution(make_run(bucket))
        launch.launch_due(client=st2)
        execution.refresh_from_db()
        return execution

    return start


def recorded():
    """Return all that is on record, but for when somebody looks at it next."""
    rows = ActionExecution.objects.order_by("pk").values()
    return (
        [{name: row[name] for name in row if name != "due_at"} for row in rows],
        list(BucketRun.objects.order_by("pk").values()),
        list(Transition.objects.order_by("pk").values()),
    )


@pytest.mark.parametrize("status", Status)
def test_a_hint_by_itself_changes_nothing_and_says_what_becomes_of_it(status):
    row = make_execution(status=status, st2_execution_id="a" * 24)
    before = recorded()

    for _ in range(3):
        word = poll_hints.hint(st2_execution_id="a" * 24, trace_tag="")

        assert word == ("unchanged" if status in row.FINAL else "accepted")
    assert recorded() == before


def test_a_hint_before_the_answer_of_the_post_does_not_touch_the_lease():
    lease_until = timezone.now() + datetime.timedelta(minutes=1)
    row = make_execution(status="launching", due_at=lease_until)

    assert poll_hints.hint(st2_execution_id=STRANGER, trace_tag=row.trace_tag) == "accepted"

    row.refresh_from_db()
    assert (row.due_at, row.st2_execution_id) == (lease_until, None)


def test_that_it_ended_is_believed_only_when_stackstorm_says_so(st2, launched):
    row = launched()
    ActionExecution.objects.update(due_at=timezone.now())
    poll.poll_due(client=st2)
    before = recorded()

    assert poll_hints.hint(st2_execution_id=row.st2_execution_id, trace_tag="") == "accepted"
    poll.poll_due(client=st2)

    assert recorded() == before


def test_of_an_id_and_a_tag_that_contradict_each_other_the_id_counts(st2, launched):
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

    words = []
    while not words or words[-1] == "accepted":
        words.append(
            poll_hints.hint(st2_execution_id=row.st2_execution_id, trace_tag=row.trace_tag)
        )
        poll.poll_due(client=st2)

    assert words[-1] == "unchanged"
    row.refresh_from_db()
    assert row.status == "skipped"
    ends = Transition.objects.filter(subject_type="execution", to_status="skipped")
    assert ends.count() == 1


def test_a_task_of_a_workflow_and_a_deleted_ghost_are_none_of_ours():
    row = make_execution(status="running", st2_ghost_ids=["b" * 24], st2_execution_id="a" * 24)
    make_execution(row.run, parent=row, step_order=9, trace_tag=None, st2_execution_id="c" * 24)
    before = recorded()

    assert poll_hints.hint(st2_execution_id="b" * 24, trace_tag="") == "ignored"
    assert poll_hints.hint(st2_execution_id="c" * 24, trace_tag="") == "ignored"
    assert recorded() == before


def test_a_local_action_takes_no_hint():
    bucket = make_bucket()
    make_step(bucket, make_local_action("wait"), parameters={"seconds": 60})
    later = timezone.now() + datetime.timedelta(minutes=1)
    row = make_execution(make_run(bucket), status="running", due_at=later)

    assert poll_hints.hint(st2_execution_id=STRANGER, trace_tag=row.trace_tag) == "ignored"

    row.refresh_from_db()
    assert row.due_at == later


class ContradictoryClient(StackStormClient):
    """Says in the list that everything has ended."""

    def executions(self, ids):
        return [replace(state, status="succeeded") for state in super().executions(ids)]


class SilentClient(StackStormClient):
    """Shows the list, and of no execution how it is."""

    def execution(self, execution_id):
        raise StackStormUnavailable("GET", "/executions", "too large", may_have_been_sent=True)


class ForgetfulClient(StackStormClient):
    """Leaves every execution out of the list."""

    def executions(self, ids):
        return []


def poll_with(kind, sandbox):
    client = kind(api_url=sandbox.url, api_key="sandbox-key", timeout=2)
    ActionExecution.objects.update(due_at=timezone.now())
    poll.poll_due(client=client)
    client.close()


@pytest.mark.parametrize("kind", [ContradictoryClient, SilentClient, ForgetfulClient])
def test_a_stackstorm_that_contradicts_itself_settles_nothing(kind, sandbox, launched):
    rows = [launched(), launched()]
    if kind is SilentClient:
        sandbox.configure(outcomes={})

    poll_with(kind, sandbox)

    for row in rows:
        row.refresh_from_db()
        assert row.status == "running"
        assert row.due_at > timezone.now()


class SilentAboutTheEndClient(ContradictoryClient, SilentClient):
    """Says that it ended, but not how."""


class RefusingClient(StackStormClient):
    """May not cancel."""

    def cancel(self, execution_id):
        raise StackStormRejected("DELETE", f"/executions/{execution_id}", 403, "not yours")


@pytest.mark.parametrize(
    "kind", [ContradictoryClient, SilentAboutTheEndClient, ForgetfulClient, RefusingClient]
)
def test_what_stackstorm_never_tells_or_never_ends_is_unknown_in_the_end(kind, sandbox, launched):
    row = launched()
    long_ago = timezone.now() - datetime.timedelta(days=2)
    ActionExecution.objects.update(running_at=long_ago, started_at=long_ago)

    poll_with(kind, sandbox)

    row.refresh_from_db()
    assert row.status == "unknown"
    assert row.error_message
    assert BucketRun.objects.get().status == "unknown"
