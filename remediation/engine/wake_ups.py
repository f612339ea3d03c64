"""Enqueue the jobs that start pending executions."""

from __future__ import annotations

from collections.abc import Iterable

from remediation import queue
from remediation.models import ActionExecution


def wake(executions: Iterable[ActionExecution]) -> None:
    """Enqueue one job for each kind and due time of these pending executions."""
    for is_remote, due_at in {(row.executed_via_stackstorm, row.due_at) for row in executions}:
        queue.enqueue(queue.LAUNCH_DUE if is_remote else queue.RUN_LOCAL, at=due_at)
