"""Enqueue the jobs that carry out executions."""

from __future__ import annotations

from collections.abc import Iterable

from remediation import queue
from remediation.models import ActionExecution


def wake(begun: Iterable[ActionExecution]) -> None:
    """Enqueue the jobs that carry out pending executions, one for each kind and due time."""
    for is_remote, due_at in {(row.executed_via_stackstorm, row.due_at) for row in begun}:
        queue.enqueue(queue.LAUNCH_DUE if is_remote else queue.RUN_LOCAL, at=due_at)
