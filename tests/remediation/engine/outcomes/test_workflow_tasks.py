"""The rows of a workflow's tasks, written when the workflow is settled."""

from dataclasses import replace

import pytest
from django.utils import timezone

from remediation.engine.outcomes.outcome import Outcome
from remediation.engine.outcomes.settle import settle
from remediation.models import Cause
from remediation.stackstorm.executions import read_execution
from tests.factories import make_bucket, make_execution, make_run
from tests.remediation.stackstorm.recordings import recording

pytestmark = pytest.mark.django_db


def test_a_task_that_has_not_ended_with_its_workflow_is_unknown():
    bucket = make_bucket(
        use_stackstorm=True, st2_workflow_name="host_down", st2_workflow_pack="remediation"
    )
    run = make_run(bucket, status="running")
    row = make_execution(run, status="running", started_at=timezone.now(), step_order=0)
    child = read_execution(recording("failure-workflow-children").body[0])

    settle(row, Outcome.failure("x"), cause=Cause(), tasks=[replace(child, status="requested")])

    task = row.tasks.get()
    assert (task.status, task.error_message) == (
        "unknown",
        "not ended when its workflow ended; status in StackStorm: requested",
    )
