"""Receive a request body from an ASGI server, with limits of size and time."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from io import BytesIO
from typing import Any, BinaryIO, NoReturn, cast

logger = logging.getLogger(__name__)

Receive = Callable[[], Awaitable[dict[str, Any]]]

# Bytes that are received without valid credentials.
UNKNOWN_BODY_BYTES = 64 * 1024
# The beginning of a refused body is dropped before the response: a connection that is closed with
# unread data is reset, and the client may then not see the response.
DROPPED_BODY_BYTES = 1024 * 1024
DROP_SECONDS = 2.0
# A body has this time, and one more second for each ``BYTES_PER_SECOND`` that have arrived.
BODY_SECONDS = 20.0
BYTES_PER_SECOND = 16 * 1024
# All bodies above ``UNKNOWN_BODY_BYTES`` that one process holds at the same time.
HELD_BYTES_MAX = 256 * 2**20


@dataclass(frozen=True, slots=True)
class Body:
    """A request body. ``is_complete``: all of it arrived, within the limits."""

    content: bytes
    is_complete: bool

    def stream(self) -> BinaryIO:
        """Return a stream of the body. Reading an incomplete one raises OSError."""
        return BytesIO(self.content) if self.is_complete else cast("BinaryIO", IncompleteStream())


INCOMPLETE = Body(b"", is_complete=False)


class IncompleteStream:
    """The stream of an incomplete body. If it just ended, it would look complete."""

    def read(self, *_size: int) -> NoReturn:
        """Raise OSError, which Django turns into UnreadablePostError."""
        raise OSError("The request body did not arrive completely.")

    readline = read

    def close(self) -> None:
        """Do nothing."""


class BodyReceiver:
    """Receives the request bodies of one process, in its event loop."""

    def __init__(self, *, limit: int) -> None:
        """Set up. ``limit``: largest body in bytes."""
        self.limit = limit
        self.held_bytes = 0  # of bodies above ``UNKNOWN_BODY_BYTES``

    @asynccontextmanager
    async def receiving(
        self,
        environ: Mapping[str, Any],
        receive: Receive,
        has_credentials: Callable[[], Awaitable[bool]],
    ) -> AsyncIterator[Body]:
        """Receive the body of a request and hold it until the block ends.

        ``has_credentials``: whether the request has valid ones; awaited at most once, and only for
        a body of more than ``UNKNOWN_BODY_BYTES``.
        """
        reading = _Reading(self, receive, has_credentials)
        try:
            yield await reading.read(environ)
        finally:
            self.held_bytes -= reading.held_bytes


class _Reading:
    """Reads one body."""

    def __init__(
        self,
        receiver: BodyReceiver,
        receive: Receive,
        has_credentials: Callable[[], Awaitable[bool]],
    ) -> None:
        self.receiver = receiver
        self.receive = receive
        self.has_credentials = has_credentials
        self.held_bytes = 0

    async def read(self, environ: Mapping[str, Any]) -> Body:
        """Return the body."""
        length = _length(environ)
        is_large = length > UNKNOWN_BODY_BYTES
        if length > self.receiver.limit or (is_large and not await self.has_credentials()):
            # The client waits for 100 Continue, and sends no body without it.
            if "HTTP_EXPECT" not in environ:
                await self._drop()
            return INCOMPLETE
        start = asyncio.get_running_loop().time()
        try:
            async with asyncio.timeout_at(start + BODY_SECONDS) as deadline:
                return await self._read(deadline, start, is_large=is_large)
        except TimeoutError:
            return INCOMPLETE

    async def _read(self, deadline: asyncio.Timeout, start: float, *, is_large: bool) -> Body:
        parts: list[bytes] = []
        received = 0
        while True:
            message = await self.receive()
            if message["type"] != "http.request":
                return INCOMPLETE
            part = message.get("body", b"")
            parts.append(part)
            received += len(part)
            if received > UNKNOWN_BODY_BYTES:
                if not is_large and not await self.has_credentials():
                    await self._drop()
                    return INCOMPLETE
                is_large = True
                if received > self.receiver.limit + 1:
                    # The size says that it is too large; the rest does not matter.
                    return Body(b"".join(parts), is_complete=True)
                if not self._hold(received):
                    return INCOMPLETE
                deadline.reschedule(start + BODY_SECONDS + received / BYTES_PER_SECOND)
            if not message.get("more_body"):
                return Body(b"".join(parts), is_complete=True)

    def _hold(self, size: int) -> bool:
        """Count the bytes of this body; return whether the process may hold them."""
        self.receiver.held_bytes += size - self.held_bytes
        self.held_bytes = size
        if self.receiver.held_bytes <= HELD_BYTES_MAX:
            return True
        logger.warning("Refused a request: the bodies in memory exceed %d bytes.", HELD_BYTES_MAX)
        return False

    async def _drop(self) -> None:
        """Read the beginning of the rest and drop it."""
        dropped = 0
        with suppress(TimeoutError):
            async with asyncio.timeout(DROP_SECONDS):
                while dropped < DROPPED_BODY_BYTES:
                    message = await self.receive()
                    dropped += len(message.get("body", b""))
                    if not message.get("more_body"):
                        return


def _length(environ: Mapping[str, Any]) -> int:
    text = environ.get("CONTENT_LENGTH", "")
    return int(text) if text.isdecimal() else 0
