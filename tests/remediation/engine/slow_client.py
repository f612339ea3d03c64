"""A StackStorm client for tests of races between workers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from remediation.stackstorm import (
    Execution,
    ExecutionState,
    StackStormClient,
    TracedExecution,
)


class SlowClient(StackStormClient):
    """Calls ``meanwhile`` once between StackStorm's response and returning it."""

    meanwhile: Callable[[], object] | None = None

    def _run_meanwhile(self) -> None:
        meanwhile, self.meanwhile = self.meanwhile, None
        if meanwhile:
            meanwhile()

    def executions(self, ids: Any) -> list[ExecutionState]:
        response = super().executions(ids)
        self._run_meanwhile()
        return response

    def execution(self, execution_id: str) -> Execution:
        response = super().execution(execution_id)
        self._run_meanwhile()
        return response

    def find_by_trace_tag(self, tag: str, **options: Any) -> list[TracedExecution]:
        response = super().find_by_trace_tag(tag, **options)
        self._run_meanwhile()
        return response
