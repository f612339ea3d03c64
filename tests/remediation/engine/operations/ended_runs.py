"""Runs of three steps whose executions have ended, for the tests of operations."""

from __future__ import annotations

from django.utils import timezone

from remediation.engine.outcomes.outcome import Outcome
from remediation.engine.outcomes.settle import settle
from remediation.models import ActionExecution, Cause
from tests.factories import make_bucket, make_execution, make_run, make_step

Status = ActionExecution.Status
ANN = Cause(at=timezone.now(), actor="ann", request_id="call-9")
DONE = Outcome(Status.SUCCESS, values={"st2_result": {"stdout": "5"}})
FAILED = Outcome.failure("broken")


def ended_run(*outcomes, alert=None, bucket=None):
    """Return a run of steps a, b and c whose first executions ended with these outcomes."""
    if bucket is None:
        bucket = make_bucket()
        for name in "abc":
            make_step(bucket, name=name)
    run = make_run(bucket, alert)
    make_execution(run)
    run.mark_running(cause=Cause())
    finish(run, *outcomes)
    return run


def finish(run, *outcomes):
    """End the next executions of a run with these outcomes."""
    for outcome in outcomes:
        execution = run.executions.get(status=Status.PENDING)
        execution.claim(cause=Cause(), lease_until=timezone.now())
        settle(execution, outcome, cause=Cause())
    run.refresh_from_db()


def step_statuses(run):
    """Return ``NAME:STATUS`` of the executions of a run, in order."""
    rows = run.executions.order_by("step_order", "attempt")
    return [f"{row.name}:{row.status}" for row in rows]
