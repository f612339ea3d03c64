"""Settle executions with the outcomes that StackStorm reports."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from remediation import clock
from remediation.engine.outcomes.deadlines import deadline
from remediation.engine.outcomes.inquiry_outcomes import with_inquiries
from remediation.engine.outcomes.outcome import Outcome
from remediation.engine.outcomes.remote_cancel import is_cancel_requested
from remediation.engine.outcomes.settle import Settlement, settle_all
from remediation.engine.row_by_row import isolate, postpone
from remediation.models import ActionExecution, Cause
from remediation.stackstorm import Execution, ExecutionResult, StackStormClient

Status = ActionExecution.Status

DELETED_TOO_LATE = (
    "PoundCake deleted it because StackStorm had not started it, and StackStorm started it at that"
    " moment: check in StackStorm whether its command ran"
)


def settle_remote(row: ActionExecution, remote: Execution, *, client: StackStormClient) -> None:
    """Settle one execution that is final in StackStorm, with its tasks if it is a workflow."""
    has_tasks = row.step_order == 0 or remote.children
    tasks = client.children(remote.id) if has_tasks else []
    settle_all([_settlement(row, remote, tasks=tasks)], cause=Cause.of_stackstorm())


def settle_without_tasks(
    ended: Iterable[tuple[ActionExecution, Execution | ExecutionResult]],
) -> None:
    """Settle executions that are final in StackStorm and have no tasks, in one transaction."""
    settlements: list[Settlement] = []
    for row, remote in ended:
        with isolate(row, description="Reading an outcome", on_failure=postpone):
            settlements.append(_settlement(row, remote))
    settle_all(settlements, cause=Cause.of_stackstorm())


def _settlement(
    row: ActionExecution, remote: Execution | ExecutionResult, *, tasks: Sequence[Execution] = ()
) -> Settlement:
    outcome = Outcome.of(remote, tasks=tasks)
    if remote.status == "canceled" and not is_cancel_requested(row):
        limit = deadline(row)
        if remote.id in row.st2_ghost_ids:
            outcome = Outcome(Status.UNKNOWN, DELETED_TOO_LATE, outcome.values)
        elif limit.is_over(clock.now()):
            outcome = Outcome(Status.TIMEOUT, limit.timeout_reason, outcome.values)
    outcome = with_inquiries(outcome, row, remote, tasks)
    # Only a workflow bucket stores its tasks as rows. In other buckets their step_order would
    # collide with the bucket's own steps.
    return Settlement(row, outcome, tasks if row.step_order == 0 else ())
