"""Rescue what a dead process left behind."""

from __future__ import annotations

from django.utils import timezone

from remediation import local_actions, queue
from remediation.engine import lookup
from remediation.engine.settle import Outcome, settle
from remediation.models import ActionExecution, Cause, IllegalTransitionError


def recover() -> int:
    """Take up every execution whose worker's lease has ended; return how many there were."""
    rows = ActionExecution.objects.filter(
        status=ActionExecution.Status.LAUNCHING, lookup_until=None, due_at__lte=timezone.now()
    ).select_related("action")
    recovered = 0
    for row in rows:
        try:
            _rescue(row, cause=Cause())
        except IllegalTransitionError:
            # Its worker lives after all, or another one rescued it.
            continue
        recovered += 1
    return recovered


def _rescue(row: ActionExecution, *, cause: Cause) -> None:
    if row.executed_via_stackstorm:
        why = "the worker that launched it died before it had StackStorm's answer"
        lookup.begin(row, at=cause.at, why=why)
    elif row.action and local_actions.get(row.action.action_type).is_repeatable:
        row.release(cause=cause, reason="its worker died; it is run again", due_at=cause.at)
        queue.enqueue(queue.RUN_LOCAL)
    else:
        settle(row, Outcome.unknown("the worker that ran it died"), cause=cause)
