"""Find the executions in StackStorm that carry the trace tag of one of ours."""

from __future__ import annotations

import datetime

from remediation.models import ActionExecution
from remediation.stackstorm import StackStormClient, TracedExecution

CLOCK_TOLERANCE = datetime.timedelta(days=1)  # between StackStorm's clock and ours


def traced(row: ActionExecution, *, client: StackStormClient) -> list[TracedExecution]:
    """Return what launches of this execution made in StackStorm, oldest first.

    Its run and plan are read: the plan names the action that was launched.
    """
    definition = row.run.plan.step(row.step_order)["action"]
    return client.find_by_trace_tag(
        row.trace_tag or "",
        action_ref=definition["st2_action_ref"],
        after=row.created_at - CLOCK_TOLERANCE,
    )
