"""Read StackStorm's stream of server-sent events: the moves of executions as they happen.

The framing is that of https://html.spec.whatwg.org/multipage/server-sent-events.html with
StackStorm's ways (st2stream): a lone line end at first and every 25 s, no ids, and nothing is sent
again after a new connection.
"""

import logging
from collections.abc import Iterable, Iterator

from remediation.stackstorm.answers import read_json
from remediation.stackstorm.executions import Execution, read_execution

logger = logging.getLogger(__name__)

UPDATE = "st2.execution__update"
SILENCE_SECONDS = 60.0  # more than two heartbeats: nobody is there any more
MAX_LINE_BYTES = 32 * 2**20  # more than an execution can have in StackStorm's database


def read_updates(pieces: Iterable[bytes]) -> Iterator[list[Execution]]:
    """Yield the executions that have moved, whole; nobody, as a sign of life, is told as well.

    The first thing that a stream which works sends is a sign of life. What cannot be read is
    logged and passed over. ``pieces``: the stream's bytes, cut anywhere; what comes in one is told
    together.
    """
    reader = _Reader()
    for piece in pieces:
        told = list(reader.read(piece))
        if told:
            yield [execution for execution in told if execution]


class _Reader:
    """Keeps what has come of a line and of an event until the rest does."""

    def __init__(self) -> None:
        self.line = bytearray()
        self.name, self.data, self.is_event = b"", b"", False
        self.is_warned = False

    def read(self, piece: bytes) -> Iterator[Execution | None]:
        """Yield what ends in this piece: executions that have moved, and None as a sign of life."""
        for line in self._lines(piece):
            if line:
                self._keep(line)
                continue
            if not self.is_event:
                yield None
            elif self.name == UPDATE.encode() and (execution := self._execution()):
                yield execution
            self.name, self.data, self.is_event = b"", b"", False

    def _keep(self, line: bytes) -> None:
        self.is_event = True
        field, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if field == b"event":
            self.name = value
        elif field == b"data":
            self.data += value

    def _lines(self, piece: bytes) -> Iterator[bytes]:
        """Yield whole lines without their ends; of one that is too long, as much as is kept."""
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
            # Not its text: what actions print may be secret. The first of a connection is told of.
            level = logging.DEBUG if self.is_warned else logging.WARNING
            self.is_warned = True
            size = len(self.data)
            logger.log(level, "An event of %s bytes is passed over: %s", size, type(error).__name__)
            return None
