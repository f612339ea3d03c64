"""Make polls due at once because an execution may have changed in StackStorm.

A hint comes from StackStorm's callback or stream. It changes ``due_at`` only: the poll then
reads the status from StackStorm, so a false or repeated hint does no harm.
"""

from __future__ import annotations

from collections.abc import Collection

from django.db.models import Q, QuerySet

from remediation import clock, queue
from remediation.models import ActionExecution

Status = ActionExecution.Status


def hint(*, st2_execution_id: str, trace_tag: str) -> str:
    """Make the poll of one execution due now.

    Returns ``accepted``, ``unchanged`` (it is final already) or ``ignored`` (it is not ours).
    """
    row = _find(st2_execution_id, trace_tag)
    if row is None:
        return "ignored"
    if row.status in ActionExecution.FINAL:
        return "unchanged"
    _poll_now(ActionExecution.objects.filter(pk=row.pk))
    return "accepted"


def hint_trace_tags(trace_tags: Collection[str]) -> None:
    """Make the polls of the executions with these trace tags due now."""
    if trace_tags:
        _poll_now(ActionExecution.objects.filter(trace_tag__in=trace_tags))


def hint_all_running() -> None:
    """Make the polls of all running executions due now, in case events were missed."""
    _poll_now(ActionExecution.objects.filter(status=Status.RUNNING, parent=None))


def _poll_now(rows: QuerySet[ActionExecution]) -> None:
    started = Q(status__in=(Status.RUNNING, Status.UNKNOWN), st2_execution_id__isnull=False)
    # While the POST is in progress ``due_at`` is the worker's lease. Afterwards, an execution
    # without a response has ``lookup_until``, and the look-up finds it.
    looked_up = Q(status=Status.LAUNCHING, lookup_until__isnull=False)
    if rows.filter(started | looked_up).update(due_at=clock.now()):
        queue.enqueue(queue.TICK)


def _find(st2_execution_id: str, trace_tag: str) -> ActionExecution | None:
    """Return our execution with this StackStorm id or, if there is none, with this trace tag."""
    rows = ActionExecution.objects.filter(executed_via_stackstorm=True, parent=None)
    found = rows.filter(st2_execution_id=st2_execution_id).first() if st2_execution_id else None
    if found is None and trace_tag:
        found = rows.filter(trace_tag=trace_tag).first()
    return found
