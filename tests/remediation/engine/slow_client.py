"""A client for tests in which two workers do things at the same time."""

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
    """Hands over what StackStorm answers only after somebody else has done something."""

    meanwhile: Callable[[], object] | None = None

    def _pass_time(self) -> None:
        meanwhile, self.meanwhile = self.meanwhile, None
        if meanwhile:
            meanwhile()

    def executions(self, ids: Any) -> list[ExecutionState]:
        answer = super().executions(ids)
        self._pass_time()
        return answer

    def execution(self, execution_id: str) -> Execution:
        answer = super().execution(execution_id)
        self._pass_time()
        return answer

    def find_by_trace_tag(self, tag: str, **options: Any) -> list[TracedExecution]:
        answer = super().find_by_trace_tag(tag, **options)
        self._pass_time()
        return answer
