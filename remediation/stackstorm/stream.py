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


def read_updates(pieces: Iterable[bytes]) -> Iterator[Execution | None]:
    """Yield each execution that has moved, whole, and None for each sign of life.

    The first thing that a stream which works sends is a sign of life. What cannot be read is
    logged and passed over. ``pieces``: the stream's bytes, cut anywhere.
    """
    name, data, is_event = b"", b"", False
    for line in _lines(pieces):
        if not line:
            if not is_event:
                yield None
            elif name == UPDATE.encode() and (execution := _execution(data)):
                yield execution
            name, data, is_event = b"", b"", False
            continue
        is_event = True
        field, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if field == b"event":
            name = value
        elif field == b"data":
            data += value


def _lines(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Yield whole lines without their ends; of one that is too long, as much as may be kept."""
    line = bytearray()
    for piece in pieces:
        *ends, rest = piece.split(b"\n")
        for end in ends:
            line += end[: MAX_LINE_BYTES - len(line)]
            yield bytes(line.removesuffix(b"\r"))
            line.clear()
        line += rest[: MAX_LINE_BYTES - len(line)]


def _execution(data: bytes) -> Execution | None:
    try:
        return read_execution(read_json(data))
    except ValueError as error:
        # Not its text: what actions print may be secret.
        logger.warning("An event of %s bytes is passed over: %s", len(data), type(error).__name__)
        return None
