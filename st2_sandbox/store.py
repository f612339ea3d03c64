"""All executions of a sandbox, found by id, tag and time; the newest 20,000 are kept."""

import threading
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from typing import Any

from .executions import Execution, mask_secrets

MAX_EXECUTIONS = 20_000


class Store:
    """The executions. Hold ``lock`` while reading or changing one; the methods take it too."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self.clock = clock
        self.lock = threading.RLock()
        self._executions: dict[str, Execution] = {}
        self._by_tag: defaultdict[str, list[Execution]] = defaultdict(list)

    def clear(self) -> None:
        """Forget everything."""
        with self.lock:
            self._executions.clear()
            self._by_tag.clear()

    def add(self, executions: Iterable[Execution]) -> None:
        """Keep executions and forget the oldest beyond KEPT."""
        with self.lock:
            for execution in executions:
                self._executions[execution.id] = execution
                if execution.trace_tag:
                    self._by_tag[execution.trace_tag].append(execution)
            while len(self._executions) > MAX_EXECUTIONS:
                self._forget(next(iter(self._executions)))

    def _forget(self, execution_id: str) -> None:
        execution = self._executions.pop(execution_id)
        with_trace_tag = self._by_tag.get(execution.trace_tag, [])
        if execution in with_trace_tag:
            with_trace_tag.remove(execution)
            if not with_trace_tag:
                del self._by_tag[execution.trace_tag]

    def find(self, execution_id: str) -> Execution | None:
        """Return the execution of this id, or the newest for "last"; None if none has appeared."""
        with self.lock:
            if execution_id == "last":
                return next(iter(self.visible()), None)
            execution = self._executions.get(execution_id)
            return execution if execution is not None and self._has_appeared(execution) else None

    def visible(self) -> list[Execution]:
        """Return the executions that have appeared, newest first."""
        with self.lock:
            appeared = [
                one for one in reversed(self._executions.values()) if self._has_appeared(one)
            ]
            return sorted(appeared, key=lambda one: one.start, reverse=True)

    def with_trace_tag(self, trace_tag: str) -> list[Execution]:
        """Return the executions of one trace tag, oldest first, the tasks of workflows too."""
        with self.lock:
            return [one for one in self._by_tag.get(trace_tag, ()) if self._has_appeared(one)]

    def snapshot(self) -> tuple[dict[str, Any], ...]:
        """Return the executions as the API shows them, oldest first."""
        with self.lock:
            now = self.clock()
            return tuple(one.view(now) for one in reversed(self.visible()))

    def timings(self) -> list[dict[str, Any]]:
        """Return start and planned end of the executions on the sandbox's clock, oldest first.

        That clock is ``time.monotonic`` of the machine, so another process can compare times.
        """
        with self.lock:
            now = self.clock()
            return [
                {
                    "id": one.id,
                    "action": one.action.ref,
                    "trace_tag": one.trace_tag,
                    "parameters": mask_secrets(one.parameters, one.action),
                    "status": one.status(now),
                    "start": one.start,
                    "end": one.end,
                }
                for one in reversed(self.visible())
            ]

    def count_by_status(self) -> Counter[str]:
        """Count the executions that have appeared by status."""
        with self.lock:
            now = self.clock()
            return Counter(one.status(now) for one in self.visible())

    def started_twice(self) -> list[str]:
        """Name the trace tags under which more than one execution was started.

        Started means past `requested`: a ghost does not count, nor do the tasks of workflows and
        the executions of rules.
        """
        with self.lock:
            now = self.clock()
            started = Counter(
                one.trace_tag
                for one in self.visible()
                if one.parent is None and one.trace_tag and not one.rule_fields
                if _has_started(one, now)
            )
        return [tag for tag, timings in started.items() if timings > 1]

    def _has_appeared(self, execution: Execution) -> bool:
        return execution.start <= self.clock() and not execution.is_dropped


def _has_started(execution: Execution, now: float) -> bool:
    return any(change.status in ("scheduled", "running") for change in execution.passed(now))
