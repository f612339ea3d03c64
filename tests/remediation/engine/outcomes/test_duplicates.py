"""Of duplicate executions, the oldest is followed, the others are canceled, all are recorded."""

import pytest
from django.utils import timezone

from remediation.engine.launching import launch
from remediation.engine.outcomes import poll
from remediation.models import ActionExecution, Transition
from tests.factories import make_action, make_bucket, make_execution, make_run, make_step

pytestmark = pytest.mark.django_db


@pytest.fixture
def duplicates(sandbox, st2):
    """Return a running execution and StackStorm's ids of its two duplicates, oldest first."""
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


def test_the_oldest_is_followed_and_the_other_canceled(sandbox, st2, duplicates):
    execution, older, younger = duplicates

    poll_now(st2)

    execution.refresh_from_db()
    assert (execution.st2_execution_id, execution.st2_ghost_ids) == (older, [younger])
    assert execution.status == "running"
    assert st2.execution(younger).status in ("canceling", "canceled")
    assert st2.execution(older).status == "running"
    move = Transition.objects.filter(subject_type="execution").latest("pk")
    assert move.data == {"st2_execution_id": older, "canceled": [younger]}


def test_the_cancel_is_repeated_after_a_worker_died(sandbox, st2, duplicates):
    execution, older, younger = duplicates
    ActionExecution.objects.update(st2_execution_id=older, st2_ghost_ids=[younger])

    poll_now(st2)

    assert st2.execution(younger).status in ("canceling", "canceled")
    execution.refresh_from_db()
    assert execution.st2_execution_id == older


def test_a_launch_with_a_response_is_not_searched_for_duplicates(sandbox, st2, duplicates):
    ActionExecution.objects.update(unanswered_launches=0)
    before = len(sandbox.requests)

    poll_now(st2)

    assert len(sandbox.requests) == before + 1


def test_a_duplicate_with_an_open_inquiry_is_not_canceled_again(sandbox, st2, duplicates):
    """StackStorm never cancels an open inquiry."""
    _, _, younger = duplicates
    ActionExecution.objects.update(st2_ghost_ids=[younger])
    sandbox.configure(outcomes={"core.local": "pending"})
    asking = st2.run_action("core.local", {"cmd": "true"}, trace_tag=duplicates[0].trace_tag)
    ActionExecution.objects.update(st2_ghost_ids=[younger, asking.id])
    before = len(sandbox.requests)

    poll_now(st2)

    deleted = [path for method, path in sandbox.requests[before:] if method == "DELETE"]
    assert deleted == [f"/v1/executions/{younger}"]
