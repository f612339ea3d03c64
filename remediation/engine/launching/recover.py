"""Rescue what a dead process left behind."""

from __future__ import annotations

from remediation import clock, local_actions, queue
from remediation.engine import batches
from remediation.engine.launching import lookup
from remediation.engine.outcomes.outcome import Outcome
from remediation.engine.outcomes.settle import settle
from remediation.models import ActionExecution, Cause, IllegalTransitionError

REPEATS_MAX = 2  # of a local action whose worker died: it may be what kills them


def recover() -> int:
    """Take up executions whose worker's lease has ended, a bounded batch; return how many."""
    rows = ActionExecution.objects.filter(
        status=ActionExecution.Status.LAUNCHING, lookup_until=None, due_at__lte=clock.now()
    ).select_related("action")
    recovered = 0
    for row in batches.walk(rows, order="due_at"):
        with batches.isolate(row, job="recovery"):
            recovered += _is_rescued(row)
        if recovered == batches.ROWS_MAX:
            break
    return recovered


def _is_rescued(row: ActionExecution) -> bool:
    try:
        _rescue(row, cause=Cause())
    except IllegalTransitionError:
        # Its worker lives after all, or another one rescued it.
        return False
    return True


def _rescue(row: ActionExecution, *, cause: Cause) -> None:
    if row.executed_via_stackstorm:
        reason = "the worker that launched it died before it had StackStorm's answer"
        lookup.schedule(row, at=cause.at, reason=reason)
        return
    deaths = row.unanswered_launches + 1
    is_repeatable = row.action and local_actions.get(row.action.action_type).is_repeatable
    if is_repeatable and deaths <= REPEATS_MAX:
        reason = "its worker died; it is run again"
        row.release(cause=cause, reason=reason, due_at=cause.at, unanswered_launches=deaths)
        queue.enqueue(queue.RUN_LOCAL)
    else:
        again = f", {deaths} times now" if deaths > 1 else ""
        settle(row, Outcome.unknown(f"the worker that ran it died{again}"), cause=cause)
