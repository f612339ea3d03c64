"""A launch that landed twice: the older is followed, the younger canceled, both are on record."""

import pytest
from django.utils import timezone

from remediation.engine.launching import launch
from remediation.engine.outcomes import poll
from remediation.models import ActionExecution, Transition
from tests.factories import make_action, make_bucket, make_execution, make_run, make_step

pytestmark = pytest.mark.django_db


@pytest.fixture
def twins(sandbox, st2):
    """Return a running execution and StackStorm's ids of the two that its launches made."""
    sandbox.configure(outcomes={"core.local": "running"})
    bucket = make_bucket()
    make_step(bucket, make_action(st2_runner="local-shell-cmd"), parameters={"cmd": "true"})
    execution = make_execution(make_run(bucket))
    older = st2.run_action("core.local", {"cmd": "true"}, trace_tag=execution.trace_tag)
    launch.launch_due(client=st2)
    execution.refresh_from_db()
    younger = execution.st2_execution_id
    ActionExecution.objects.update(unanswered_launches=1, due_at=timezone.now())
    return execution, older.id, younger


def poll_now(st2):
    ActionExecution.objects.update(due_at=timezone.now())
    poll.poll_due(client=st2)


def test_the_older_is_followed_and_the_younger_canceled(sandbox, st2, twins):
    execution, older, younger = twins

    poll_now(st2)

    execution.refresh_from_db()
    assert (execution.st2_execution_id, execution.st2_ghost_ids) == (older, [younger])
    assert execution.status == "running"
    assert st2.execution(younger).status in ("canceling", "canceled")
    assert st2.execution(older).status == "running"
    move = Transition.objects.filter(subject_type="execution").last()
    assert move.data == {"st2_execution_id": older, "canceled": [younger]}


def test_a_worker_that_died_before_the_cancel_is_made_good(sandbox, st2, twins):
    execution, older, younger = twins
    ActionExecution.objects.update(st2_execution_id=older, st2_ghost_ids=[younger])

    poll_now(st2)

    assert st2.execution(younger).status in ("canceling", "canceled")
    execution.refresh_from_db()
    assert execution.st2_execution_id == older


def test_what_was_answered_at_once_is_not_searched_for(sandbox, st2, twins):
    ActionExecution.objects.update(unanswered_launches=0)
    before = len(sandbox.requests)

    poll_now(st2)

    assert len(sandbox.requests) == before + 1


def test_a_twin_that_asks_a_person_is_not_asked_to_cancel_again(sandbox, st2, twins):
    """StackStorm refuses that every time."""
    _, _, younger = twins
    ActionExecution.objects.update(st2_ghost_ids=[younger])
    sandbox.configure(outcomes={"core.local": "pending"})
    asks = st2.run_action("core.local", {"cmd": "true"}, trace_tag=twins[0].trace_tag)
    ActionExecution.objects.update(st2_ghost_ids=[younger, asks.id])
    before = len(sandbox.requests)

    poll_now(st2)

    deleted = [path for method, path in sandbox.requests[before:] if method == "DELETE"]
    assert deleted == [f"/v1/executions/{younger}"]
