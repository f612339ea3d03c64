"""The stream of server-sent events, in the recorded format (sse-stream-*)."""

import json
import queue
from collections.abc import Callable, Iterator, Mapping
from fnmatch import fnmatchcase

from .dispatcher import EventDispatcher
from .executions import Execution
from .timeline import StatusChange

CREATE, UPDATE = "st2.execution__create", "st2.execution__update"
HEARTBEAT_SECONDS = 25.0
MAX_QUEUED = 10_000


class Subscriber:
    """One reader of the stream; it is disconnected if more than MAX_QUEUED events wait."""

    def __init__(self, dispatcher: EventDispatcher, query: Mapping[str, str]) -> None:
        self._query = query
        self._queue: queue.Queue[tuple[bytes, bool] | None] = queue.Queue(MAX_QUEUED)
        self._unsubscribe: Callable[[], None] = dispatcher.subscribe(self._on_status_change)

    def events(self) -> Iterator[bytes]:
        """Yield the encoded events and heartbeats until the stream ends."""
        try:
            yield b"\n"
            while True:
                try:
                    event = self._queue.get(timeout=HEARTBEAT_SECONDS)
                except queue.Empty:
                    yield b"\n"
                    continue
                if event is None:
                    return
                framed, is_last = event
                yield framed
                if is_last:
                    return
        finally:
            self._unsubscribe()

    def end(self) -> None:
        """End the stream after the queued events."""
        try:
            self._queue.put_nowait(None)
        except queue.Full:
            self._queue.get_nowait()
            self._queue.put_nowait(None)

    def _on_status_change(self, execution: Execution, change: StatusChange) -> None:
        name = CREATE if change is execution.timeline[0] else UPDATE
        if not self._wants(name, execution):
            return
        data = json.dumps(execution.view(change.at, until=change), separators=(",", ":"))
        is_last = (
            change is execution.timeline[-1]
            and self._query.get("end_event") == name
            and self._query.get("end_execution_id") == execution.id
        )
        try:
            self._queue.put_nowait((f"event: {name}\ndata: {data}\n\n".encode(), is_last))
        except queue.Full:
            self.end()

    def _wants(self, name: str, execution: Execution) -> bool:
        patterns = _split(self._query, "events")
        refs = _split(self._query, "action_refs")
        ids = _split(self._query, "execution_ids")
        return (
            (not patterns or any(fnmatchcase(name, pattern) for pattern in patterns))
            and (not refs or execution.action.ref in refs)
            and (not ids or execution.id in ids)
        )


def _split(query: Mapping[str, str], name: str) -> list[str]:
    return [item for item in query.get(name, "").split(",") if item]
