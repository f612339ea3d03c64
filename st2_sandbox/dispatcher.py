"""Call listeners when a status change is due; used by the stream and the callbacks."""

import heapq
import itertools
import threading
from collections.abc import Callable, Iterable

from .executions import Execution
from .store import Store
from .timeline import StatusChange

Listener = Callable[[Execution, StatusChange], None]


class EventDispatcher:
    """A thread that sleeps until the next status change. It skips changes removed by a cancel."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._listeners: list[Listener] = []
        self._scheduled: list[tuple[float, int, Execution, StatusChange]] = []
        self._numbers = itertools.count()
        self._condition = threading.Condition()
        self._is_running = False
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Start the thread."""
        self._is_running = True
        self._thread = threading.Thread(target=self._run, name="sandbox-dispatcher", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop the thread; the scheduled changes are kept for the next start."""
        with self._condition:
            self._is_running = False
            self._condition.notify()
        if self._thread is not None:
            self._thread.join()

    def subscribe(self, listener: Listener) -> Callable[[], None]:
        """Call ``listener`` for each change and return a function that unsubscribes it.

        The dispatcher's thread calls it, with the store's lock held.
        """
        with self._condition:
            self._listeners = [*self._listeners, listener]

        def unsubscribe() -> None:
            with self._condition:
                self._listeners = [one for one in self._listeners if one is not listener]

        return unsubscribe

    def schedule(self, execution: Execution, changes: Iterable[StatusChange]) -> None:
        """Schedule status changes of an execution."""
        with self._condition:
            for change in changes:
                entry = (change.at, next(self._numbers), execution, change)
                heapq.heappush(self._scheduled, entry)
            self._condition.notify()

    def clear(self) -> None:
        """Remove all scheduled changes."""
        with self._condition:
            self._scheduled.clear()

    def _run(self) -> None:
        while True:
            with self._condition:
                if not self._is_running:
                    return
                due = self._take_due()
                if not due:
                    self._condition.wait(self._seconds_to_next())
                listeners = self._listeners
            for execution, change in due:
                with self._store.lock:
                    if _is_current(execution, change):
                        for listener in listeners:
                            listener(execution, change)

    def _take_due(self) -> list[tuple[Execution, StatusChange]]:
        now = self._store.clock()
        due = []
        while self._scheduled and self._scheduled[0][0] <= now:
            _at, _number, execution, change = heapq.heappop(self._scheduled)
            due.append((execution, change))
        return due

    def _seconds_to_next(self) -> float | None:
        return max(self._scheduled[0][0] - self._store.clock(), 0) if self._scheduled else None


def _is_current(execution: Execution, change: StatusChange) -> bool:
    is_planned = any(planned is change for planned in execution.timeline)
    return is_planned and not execution.is_dropped
