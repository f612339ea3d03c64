"""Read StackStorm's stream of server-sent events for updates of executions.

The format is https://html.spec.whatwg.org/multipage/server-sent-events.html. st2stream sends
an empty line at the start and every 25 s as a heartbeat. It sends no ids, and does not repeat
events after a reconnect.
"""

import logging
from collections.abc import Iterable, Iterator

from remediation.stackstorm.executions import Execution, read_execution
from remediation.stackstorm.responses import read_json

logger = logging.getLogger(__name__)

UPDATE = "st2.execution__update"
SILENCE_SECONDS = 60.0  # more than two heartbeats
MAX_LINE_BYTES = 32 * 2**20  # an execution in StackStorm's database is smaller


def read_updates(pieces: Iterable[bytes]) -> Iterator[list[Execution]]:
    """Yield lists of updated executions; an empty list is a heartbeat.

    A working stream sends a heartbeat first. Unreadable events are logged and skipped.
    ``pieces``: the stream's bytes, split anywhere. The executions of one piece form one list.
    """
    reader = _Reader()
    for piece in pieces:
        updates = list(reader.read(piece))
        if updates:
            yield [execution for execution in updates if execution]


class _Reader:
    """Buffers incomplete lines and events."""

    def __init__(self) -> None:
        self.line = bytearray()
        self.name, self.data, self.is_event = b"", b"", False
        self.is_warned = False

    def read(self, piece: bytes) -> Iterator[Execution | None]:
        """Yield the executions whose events end in this piece, and None for a heartbeat."""
        for line in self._lines(piece):
            if line:
                self._store(line)
                continue
            if not self.is_event:
                yield None
            elif self.name == UPDATE.encode() and (execution := self._execution()):
                yield execution
            self.name, self.data, self.is_event = b"", b"", False

    def _store(self, line: bytes) -> None:
        self.is_event = True
        field, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if field == b"event":
            self.name = value
        elif field == b"data":
            self.data += value

    def _lines(self, piece: bytes) -> Iterator[bytes]:
        """Yield complete lines without line ends; a line that is too long is cut."""
        *ends, rest = piece.split(b"\n")
        for end in ends:
            self.line += end[: MAX_LINE_BYTES - len(self.line)]
            yield bytes(self.line.removesuffix(b"\r"))
            self.line.clear()
        self.line += rest[: MAX_LINE_BYTES - len(self.line)]

    def _execution(self) -> Execution | None:
        try:
            return read_execution(read_json(self.data))
        except ValueError as error:
            # The text may contain secrets. Only the first error of a connection is a warning.
            level = logging.DEBUG if self.is_warned else logging.WARNING
            self.is_warned = True
            size = len(self.data)
            logger.log(level, "Skipped an event of %s bytes: %s", size, type(error).__name__)
            return None
