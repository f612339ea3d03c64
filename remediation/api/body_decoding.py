"""Make every body of the API readable: chunked, compressed, and complete or known not to be.

Django reads as many bytes as Content-Length says and takes a chunked body for an empty one
(https://code.djangoproject.com/ticket/35838). Here the body is read, unpacked within the size limit
and given to Django with its length. One that cannot be read raises when a view asks for it.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from io import BytesIO
from typing import Any, BinaryIO, NoReturn, cast

from django.conf import settings
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from rest_framework import exceptions

from remediation.api.errors import API_PREFIX, TooLarge, TruncatedBody, UnsupportedCoding

RECEIVE_SECONDS = 20.0  # without a byte; gunicorn ends a process that hangs for 30
PIECE_BYTES = 64 * 1024
# A gzip body may have several members. Each costs a copy of the piece that it is in.
MEMBERS_MAX = 1_000
GZIP, ZLIB, RAW_DEFLATE = 16 + zlib.MAX_WBITS, zlib.MAX_WBITS, -zlib.MAX_WBITS

GetResponse = Callable[[HttpRequest], HttpResponseBase]


class DecodeBodyMiddleware:
    """Read the bodies of the API before anything else does."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """Answer the request."""
        if request.path_info.startswith(API_PREFIX):
            _prepare(request)
        return self.get_response(request)


def _prepare(request: HttpRequest) -> None:
    transfer = _codings(request, "Transfer-Encoding")
    is_chunked = "chunked" in transfer
    length = 0 if is_chunked else _length(request)
    if not length and not is_chunked:
        return
    codings = [*_codings(request, "Content-Encoding"), *transfer]
    try:
        body = _receive(request, length, is_chunked=is_chunked)
        for coding in reversed(codings):
            body = _decode(body, coding)
    except exceptions.APIException as error:
        request.body_error = error  # type: ignore[attr-defined]  # read by the errors module
        _replace_stream(request, _Unreadable(), length or 1)
    else:
        _replace_stream(request, BytesIO(body), len(body))


def _replace_stream(request: HttpRequest, stream: object, length: int) -> None:
    request._stream = cast("BinaryIO", stream)  # the only place that Django reads from
    request.META["CONTENT_LENGTH"] = str(length)


class _Unreadable:
    """A stream that raises, so that nobody takes the body for an empty one."""

    def read(self, *_size: int) -> NoReturn:
        """Raise what Django turns into UnreadablePostError."""
        raise OSError("The body could not be read.")

    readline = read

    def close(self) -> None:
        """Do nothing."""


def _length(request: HttpRequest) -> int:
    text = request.META.get("CONTENT_LENGTH") or "0"
    return int(text) if text.isdecimal() else 0


def _codings(request: HttpRequest, header: str) -> list[str]:
    """Return the codings of a header, in the order in which they were applied."""
    names = [name.strip().lower() for name in request.headers.get(header, "").split(",")]
    return [name for name in names if name and name != "identity"]


def _receive(request: HttpRequest, length: int, *, is_chunked: bool) -> bytes:
    """Return all bytes of the body. Raises TooLarge, TruncatedBody or UnsupportedCoding."""
    environ: dict[str, Any] = getattr(request, "environ", {})
    if is_chunked and not environ.get("wsgi.input_terminated"):
        raise UnsupportedCoding("This web server reads no chunked bodies: send Content-Length.")
    limit = settings.DATA_UPLOAD_MAX_MEMORY_SIZE
    if length > limit:
        raise _too_large()
    # Django's own stream ends after Content-Length, the web server's after the last chunk.
    stream = environ["wsgi.input"] if is_chunked else request._stream
    body = _read(stream, limit + 1 if is_chunked else length, environ.get("gunicorn.socket"))
    if len(body) > limit:
        raise _too_large()
    if len(body) < length:
        raise TruncatedBody
    return body


def _read(stream: Any, size: int, connection: Any) -> bytes:
    """Return at most ``size`` bytes, without waiting for ever for a sender that is gone."""
    waited = connection.gettimeout() if connection else None
    try:
        if connection:
            connection.settimeout(RECEIVE_SECONDS)
        body: bytes = stream.read(size)
    except Exception as error:  # each web server has errors of its own
        raise TruncatedBody from error
    finally:
        if connection:
            connection.settimeout(waited)
    return body


def _decode(body: bytes, coding: str) -> bytes:
    """Undo one coding. Raises TooLarge, TruncatedBody or UnsupportedCoding."""
    if coding == "chunked":
        return body  # the web server has undone it
    if coding in ("gzip", "x-gzip"):
        return _inflate(body, GZIP)
    if coding == "deflate":
        # It means zlib's format, but some senders leave out its header.
        has_header = body[:1] and body[0] & 0x0F == 8 and int.from_bytes(body[:2]) % 31 == 0
        return _inflate(body, ZLIB if has_header else RAW_DEFLATE)
    raise UnsupportedCoding(
        f"Bodies cannot be read in the coding {coding[:40]!r}: send gzip, deflate or none."
    )


def _inflate(packed: bytes, format_bits: int) -> bytes:
    """Unpack a body, never more of it than the limit."""
    limit = settings.DATA_UPLOAD_MAX_MEMORY_SIZE
    unpacked = bytearray()
    members = 1
    member = zlib.decompressobj(format_bits)
    for begin in range(0, len(packed), PIECE_BYTES):
        piece = packed[begin : begin + PIECE_BYTES]
        while piece:
            if member.eof:
                members += 1
                member = zlib.decompressobj(format_bits)
            try:
                unpacked += member.decompress(piece, limit + 1 - len(unpacked))
            except zlib.error as error:
                raise TruncatedBody("The compressed body is damaged: send it again.") from error
            if len(unpacked) > limit or members > MEMBERS_MAX:
                raise _too_large()
            piece = member.unused_data if member.eof else member.unconsumed_tail
    if not member.eof:
        raise TruncatedBody
    return bytes(unpacked)


def _too_large() -> TooLarge:
    size = settings.DATA_UPLOAD_MAX_MEMORY_SIZE // 2**20
    return TooLarge(f"The body is larger than {size} MiB, unpacked: send less in one.")
