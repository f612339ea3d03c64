"""The executions of a sandbox, by id, trace tag and time; the newest 20,000 are kept."""

import threading
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from typing import Any

from .executions import Execution, mask_secrets

MAX_EXECUTIONS = 20_000


class Store:
    """The executions. Hold ``lock`` to read or change one; the methods hold it themselves."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self.clock = clock
        self.lock = threading.RLock()
        self._executions: dict[str, Execution] = {}
        self._by_tag: defaultdict[str, list[Execution]] = defaultdict(list)

    def clear(self) -> None:
        """Delete all executions."""
        with self.lock:
            self._executions.clear()
            self._by_tag.clear()

    def add(self, executions: Iterable[Execution]) -> None:
        """Add executions and delete the oldest beyond MAX_EXECUTIONS."""
        with self.lock:
            for execution in executions:
                self._executions[execution.id] = execution
                if execution.trace_tag:
                    self._by_tag[execution.trace_tag].append(execution)
            while len(self._executions) > MAX_EXECUTIONS:
                self._delete(next(iter(self._executions)))

    def _delete(self, execution_id: str) -> None:
        execution = self._executions.pop(execution_id)
        same_tag = self._by_tag.get(execution.trace_tag, [])
        if execution in same_tag:
            same_tag.remove(execution)
            if not same_tag:
                del self._by_tag[execution.trace_tag]

    def find(self, execution_id: str) -> Execution | None:
        """Return the visible execution with this id, or the newest for "last"."""
        with self.lock:
            if execution_id == "last":
                return next(iter(self.visible()), None)
            execution = self._executions.get(execution_id)
            return execution if execution is not None and self._is_visible(execution) else None

    def visible(self) -> list[Execution]:
        """Return the visible executions, newest first."""
        with self.lock:
            visible = [one for one in reversed(self._executions.values()) if self._is_visible(one)]
            return sorted(visible, key=lambda one: one.start, reverse=True)

    def with_trace_tag(self, trace_tag: str) -> list[Execution]:
        """Return the visible executions with this trace tag, oldest first, including tasks."""
        with self.lock:
            return [one for one in self._by_tag.get(trace_tag, ()) if self._is_visible(one)]

    def snapshot(self) -> tuple[dict[str, Any], ...]:
        """Return the API's views of the executions, oldest first."""
        with self.lock:
            now = self.clock()
            return tuple(one.view(now) for one in reversed(self.visible()))

    def timings(self) -> list[dict[str, Any]]:
        """Return start and planned end of the visible executions, oldest first.

        The default clock is ``time.monotonic``, which other processes on this machine can compare.
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
        """Count the visible executions by status."""
        with self.lock:
            now = self.clock()
            return Counter(one.status(now) for one in self.visible())

    def started_twice(self) -> list[str]:
        """Return the trace tags with more than one started execution.

        Started means past `requested`. Ghosts (executions that stay `requested`), tasks of
        workflows and callback executions do not count.
        """
        with self.lock:
            now = self.clock()
            started = Counter(
                one.trace_tag
                for one in self.visible()
                if one.parent is None and one.trace_tag and not one.rule_fields
                if _has_started(one, now)
            )
        return [tag for tag, count in started.items() if count > 1]

    def _is_visible(self, execution: Execution) -> bool:
        return execution.start <= self.clock() and not execution.is_dropped


def _has_started(execution: Execution, now: float) -> bool:
    return any(change.status in ("scheduled", "running") for change in execution.past_changes(now))
