"""An operator sets the outcome of an unknown execution."""

import pytest

from remediation.engine.operations import errors, set_outcome
from remediation.engine.outcomes.outcome import Outcome
from remediation.models import ActionExecution, Transition
from tests.factories import make_execution
from tests.remediation.engine.operations.ended_runs import (
    ANN,
    DONE,
    FAILED,
    ended_run,
    step_statuses,
)

pytestmark = pytest.mark.django_db

Status = ActionExecution.Status


def test_setting_an_outcome_settles_the_execution_and_continues_the_run():
    run = ended_run(DONE, Outcome.unknown("no answer"))
    execution = run.executions.get(status="unknown")

    set_outcome.set_outcome(execution, Status.SUCCESS, reason="the log says so", cause=ANN)

    run.refresh_from_db()
    assert run.status == "running"
    assert step_statuses(run) == ["a:success", "b:success", "c:pending"]
    transition = Transition.objects.get(subject_id=execution.pk, to_status="success")
    assert (transition.actor, transition.reason) == ("ann", "outcome set by ann: the log says so")


@pytest.mark.parametrize(
    ("status", "reason", "message"),
    [
        (Status.RUNNING, "it runs", "status"),
        (Status.UNKNOWN, "who knows", "status"),
        (Status.SUCCESS, " ", "reason"),
    ],
)
def test_an_outcome_needs_a_final_status_and_a_reason(status, reason, message):
    run = ended_run(Outcome.unknown("no answer"))

    with pytest.raises(errors.NotPossible, match=message):
        set_outcome.set_outcome(run.executions.get(), status, reason=reason, cause=ANN)


def test_the_outcome_of_a_workflow_task_cannot_be_set():
    parent = ended_run(Outcome.unknown("no answer")).executions.get()
    task = make_execution(parent.run, parent=parent, attempt=2, status="unknown")

    with pytest.raises(errors.NotPossible, match=f"workflow execution #{parent.pk}"):
        set_outcome.set_outcome(task, Status.SUCCESS, reason="I saw it", cause=ANN)


def test_only_an_unknown_outcome_can_be_set():
    run = ended_run(FAILED)

    with pytest.raises(errors.NotPossible, match="only an unknown outcome can be set"):
        set_outcome.set_outcome(
            run.executions.get(step_order=1), Status.SUCCESS, reason="no", cause=ANN
        )
