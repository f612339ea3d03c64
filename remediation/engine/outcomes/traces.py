"""Find the StackStorm executions that have the trace tag of one of our executions."""

from __future__ import annotations

import datetime

from remediation.models import ActionExecution
from remediation.stackstorm import StackStormClient, TracedExecution

CLOCK_TOLERANCE = datetime.timedelta(days=1)  # between StackStorm's clock and ours


def find_launched(row: ActionExecution, *, client: StackStormClient) -> list[TracedExecution]:
    """Return the executions that launches of ``row`` created in StackStorm, oldest first.

    The row's run and plan must be loaded: the plan names the launched action.
    """
    definition = row.run.plan.step(row.step_order)["action"]
    # A launch from before a restored backup may be much older than the row.
    after = row.created_at - CLOCK_TOLERANCE if row.unanswered_launches else None
    return client.find_by_trace_tag(
        row.trace_tag or "",
        action_ref=definition["st2_action_ref"],
        after=after,
    )
