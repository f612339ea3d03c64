"""End executions that were not started within LAUNCH_TIMEOUT, even while paused."""

from __future__ import annotations

import datetime

from django.conf import settings

from remediation.engine import batches
from remediation.engine.guards import cooldown
from remediation.engine.launching import restored_launches
from remediation.engine.outcomes import settle
from remediation.engine.outcomes.advance import retry_delay
from remediation.engine.outcomes.outcome import Outcome
from remediation.models import ActionExecution, Cause, Restore

Status = ActionExecution.Status


def expire() -> int:
    """Time out overdue executions in a bounded batch; return how many were overdue."""
    cause = Cause()
    limit = cause.at - datetime.timedelta(seconds=settings.LAUNCH_TIMEOUT)
    pending = ActionExecution.objects.filter(
        status=Status.PENDING, due_at__isnull=False, created_at__lt=limit
    ).select_related("run__plan", "run__alert")
    overdue, restored_at = 0, Restore.latest()
    # A row older than the limit need not be overdue: a retry first waits for its delay.
    for row in batches.walk(pending, order="created_at"):
        with batches.isolate(row, job="expiry"):
            if _first_due(row) >= limit or restored_launches.may_have_run(row, restored_at):
                continue
            overdue += 1
            reason = (
                f"not started within {settings.LAUNCH_TIMEOUT:g} s (LAUNCH_TIMEOUT):"
                f" {row.error_message or 'no worker claimed it'}"
            )
            settle.settle(row, Outcome(Status.TIMEOUT, reason), cause=cause)
        if overdue == batches.ROWS_MAX:
            break
    return overdue


def _first_due(execution: ActionExecution) -> datetime.datetime:
    """Return when an execution was first due: after its retry delay and the bucket's cooldown."""
    step = execution.run.plan.step(execution.step_order)
    first = execution.created_at + retry_delay(step, execution.attempt)
    return max(first, cooldown.launch_timeout_start(execution.run) or first)
