"""Tell listeners each moment of an execution when it comes; used by the stream and call-backs."""

import heapq
import itertools
import threading
from collections.abc import Callable, Iterable

from .executions import Execution
from .store import Store
from .timeline import StatusChange

Listener = Callable[[Execution, StatusChange], None]


class EventDispatcher:
    """A thread that sleeps until the next moment; what a cancel rewrote is passed over."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._listeners: list[Listener] = []
        self._coming: list[tuple[float, int, Execution, StatusChange]] = []
        self._numbers = itertools.count()
        self._changed = threading.Condition()
        self._is_running = False
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin to tell."""
        self._is_running = True
        self._thread = threading.Thread(target=self._run, name="sandbox-feed", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the thread; what is still to come is told after the next start."""
        with self._changed:
            self._is_running = False
            self._changed.notify()
        if self._thread is not None:
            self._thread.join()

    def subscribe(self, listener: Listener) -> Callable[[], None]:
        """Tell ``listener`` from now on, in the feed's thread; return what ends that."""
        with self._changed:
            self._listeners = [*self._listeners, listener]

        def unsubscribe() -> None:
            with self._changed:
                self._listeners = [one for one in self._listeners if one is not listener]

        return unsubscribe

    def schedule(self, execution: Execution, changes: Iterable[StatusChange]) -> None:
        """Tell these moments of an execution when they come."""
        with self._changed:
            for change in changes:
                entry = (change.at, next(self._numbers), execution, change)
                heapq.heappush(self._coming, entry)
            self._changed.notify()

    def clear(self) -> None:
        """Forget what is to come."""
        with self._changed:
            self._coming.clear()

    def _run(self) -> None:
        while True:
            with self._changed:
                if not self._is_running:
                    return
                due = self._take_due()
                if not due:
                    self._changed.wait(self._seconds_to_next())
                listeners = self._listeners
            for execution, change in due:
                with self._store.lock:
                    if _still_holds(execution, change):
                        for listener in listeners:
                            listener(execution, change)

    def _take_due(self) -> list[tuple[Execution, StatusChange]]:
        now = self._store.clock()
        due = []
        while self._coming and self._coming[0][0] <= now:
            _at, _number, execution, change = heapq.heappop(self._coming)
            due.append((execution, change))
        return due

    def _seconds_to_next(self) -> float | None:
        return max(self._coming[0][0] - self._store.clock(), 0) if self._coming else None


def _still_holds(execution: Execution, change: StatusChange) -> bool:
    is_planned = any(planned is change for planned in execution.timeline)
    return is_planned and not execution.is_dropped
