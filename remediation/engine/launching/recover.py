"""Recover executions whose worker died."""

from __future__ import annotations

from remediation import clock, local_actions, queue
from remediation.engine import batches
from remediation.engine.launching import lookup
from remediation.engine.outcomes.outcome import Outcome
from remediation.engine.outcomes.settle import settle
from remediation.models import ActionExecution, Cause, IllegalTransitionError

RERUNS_MAX = 2  # of a local action whose worker died, because it may kill its workers


def recover() -> int:
    """Recover executions whose lease has ended in a bounded batch; return how many."""
    rows = ActionExecution.objects.filter(
        status=ActionExecution.Status.LAUNCHING, lookup_until=None, due_at__lte=clock.now()
    ).select_related("action")
    recovered = 0
    for row in batches.walk(rows, order="due_at"):
        with batches.isolate(row, job="recovery"):
            recovered += _try_recover(row)
        if recovered == batches.ROWS_MAX:
            break
    return recovered


def _try_recover(row: ActionExecution) -> bool:
    try:
        _recover(row, cause=Cause())
    except IllegalTransitionError:
        # Its worker is alive after all, or another worker has recovered it.
        return False
    return True


def _recover(row: ActionExecution, *, cause: Cause) -> None:
    if row.executed_via_stackstorm:
        reason = "the worker that launched it died before StackStorm's response"
        lookup.schedule(row, at=cause.at, reason=reason)
        return
    deaths = row.unanswered_launches + 1
    is_repeatable = row.action and local_actions.get(row.action.action_type).is_repeatable
    if is_repeatable and deaths <= RERUNS_MAX:
        reason = "its worker died: retried"
        row.release(cause=cause, reason=reason, due_at=cause.at, unanswered_launches=deaths)
        queue.enqueue(queue.RUN_LOCAL)
    else:
        times = f", {deaths} times in total" if deaths > 1 else ""
        settle(row, Outcome.unknown(f"the worker that ran it died{times}"), cause=cause)
