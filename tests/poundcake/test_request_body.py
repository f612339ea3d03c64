"""The limits of request bodies: credentials, size, time and memory."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

import pytest

from poundcake import request_body
from poundcake.request_body import UNKNOWN_BODY_BYTES, Body, BodyReceiver

LIMIT = 4 * UNKNOWN_BODY_BYTES
KIB = 1024


class Sender:
    """Sends parts, each after ``pause`` seconds, then nothing."""

    def __init__(self, parts: Iterable[bytes], *, pause: float = 0.0, ends: bool = True) -> None:
        self.parts = list(parts)
        self.pause = pause
        self.ends = ends
        self.received = 0

    async def __call__(self) -> dict[str, Any]:
        if not self.parts and not self.ends:
            await asyncio.sleep(60)
        await asyncio.sleep(self.pause)
        part = self.parts.pop(0) if self.parts else b""
        self.received += len(part)
        more = bool(self.parts) or not self.ends
        return {"type": "http.request", "body": part, "more_body": more}


def receive(
    sender: Callable[[], Awaitable[dict[str, Any]]],
    *,
    length: int | None = None,
    is_known: bool = True,
    receiver: BodyReceiver | None = None,
    **environ: str,
) -> tuple[Body, int]:
    """Receive a body; return it and how often the credentials were checked."""
    checks = 0

    async def has_credentials() -> bool:
        nonlocal checks
        checks += 1
        return is_known

    async def run() -> Body:
        fields = environ if length is None else environ | {"CONTENT_LENGTH": str(length)}
        receiving = (receiver or BodyReceiver(limit=LIMIT)).receiving
        async with receiving(fields, sender, has_credentials) as body:
            return body

    return asyncio.run(run()), checks


@pytest.mark.parametrize("length", [None, UNKNOWN_BODY_BYTES])
def test_a_small_body_needs_no_credentials(length):
    body, checks = receive(Sender([b"x" * UNKNOWN_BODY_BYTES]), length=length, is_known=False)

    assert (len(body.content), body.is_complete, checks) == (UNKNOWN_BODY_BYTES, True, 0)


@pytest.mark.parametrize("has_length", [True, False])
def test_a_large_body_needs_credentials_once(has_length):
    parts = [b"x" * 32 * KIB] * 6
    length = 192 * KIB if has_length else None

    known, checks = receive(Sender(parts), length=length)
    unknown, _ = receive(Sender(parts), length=length, is_known=False)

    assert (len(known.content), known.is_complete, checks) == (192 * KIB, True, 1)
    assert (unknown.content, unknown.is_complete) == (b"", False)


def test_the_rest_of_a_refused_body_is_dropped_up_to_a_limit(monkeypatch):
    monkeypatch.setattr(request_body, "DROPPED_BODY_BYTES", 2 * UNKNOWN_BODY_BYTES)
    sender = Sender([b"x" * 32 * KIB] * 1_000)

    receive(sender, length=32_000 * KIB, is_known=False)

    assert sender.received == 2 * UNKNOWN_BODY_BYTES


def test_a_sender_that_waits_for_permission_gets_none():
    sender = Sender([b"x"])

    receive(sender, length=LIMIT, is_known=False, HTTP_EXPECT="100-continue")

    assert sender.received == 0


@pytest.mark.parametrize("length", [LIMIT + 1, None])
def test_a_body_above_the_limit_is_not_received_completely(length):
    sender = Sender([b"x" * 32 * KIB] * 1_000)

    body, _ = receive(sender, length=length)

    assert sender.received < 2 * LIMIT + request_body.DROPPED_BODY_BYTES
    assert not body.is_complete or len(body.content) > LIMIT


def test_a_slow_body_is_given_up(monkeypatch):
    monkeypatch.setattr(request_body, "BODY_SECONDS", 0.1)

    silent, _ = receive(Sender([b"x"], ends=False), length=100)
    dripping, _ = receive(Sender([b"x"] * 100, pause=0.02), length=100)

    assert not silent.is_complete
    assert not dripping.is_complete


def test_a_large_body_has_more_time(monkeypatch):
    monkeypatch.setattr(request_body, "BODY_SECONDS", 0.2)
    monkeypatch.setattr(request_body, "BYTES_PER_SECOND", 32 * KIB)
    parts = [b"x" * 32 * KIB] * 6

    body, _ = receive(Sender(parts, pause=0.06), length=192 * KIB)

    assert body.is_complete


def test_a_process_holds_a_limited_number_of_bytes(monkeypatch, caplog):
    monkeypatch.setattr(request_body, "HELD_BYTES_MAX", 3 * UNKNOWN_BODY_BYTES)
    receiver = BodyReceiver(limit=LIMIT)
    parts = [b"x" * UNKNOWN_BODY_BYTES] * 2

    async def hold_two() -> list[bool]:
        async def known() -> bool:
            return True

        environ = {"CONTENT_LENGTH": str(2 * UNKNOWN_BODY_BYTES)}
        async with (
            receiver.receiving(environ, Sender(parts), known) as first,
            receiver.receiving(environ, Sender(parts), known) as second,
        ):
            return [first.is_complete, second.is_complete]

    assert asyncio.run(hold_two()) == [True, False]
    assert "the bodies in memory exceed" in caplog.text
    assert receiver.held_bytes == 0


def test_an_incomplete_body_cannot_be_read():
    with pytest.raises(OSError, match="did not arrive completely"):
        Body(b"", is_complete=False).stream().read()
