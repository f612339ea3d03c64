"""Middleware that decodes chunked and compressed request bodies of the API.

Django reads Content-Length bytes and treats a chunked body as empty
(https://code.djangoproject.com/ticket/35838). This middleware reads and decompresses the body up to
the size limit and gives it to Django with its length. A body that cannot be decoded raises when
the view reads it. Without valid credentials a body is not read: the view responds with 401, or, if
it finds them valid, with an error after which the sender retries.
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

from remediation.api.credentials import has_credentials
from remediation.api.errors import (
    API_PREFIX,
    TooLarge,
    TruncatedBody,
    Unavailable,
    UnsupportedCoding,
)

CHUNK_BYTES = 64 * 1024
# A gzip body may have several members. Each costs a copy of the chunk that contains it.
GZIP_MEMBERS_MAX = 1_000
GZIP, ZLIB, RAW_DEFLATE = 16 + zlib.MAX_WBITS, zlib.MAX_WBITS, -zlib.MAX_WBITS

GetResponse = Callable[[HttpRequest], HttpResponseBase]


class DecodeBodyMiddleware:
    """Read and decode API request bodies before other code reads them."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """Decode the body and return the response."""
        if request.path_info.startswith(API_PREFIX):
            is_known = has_credentials(request)
            request.has_credentials = is_known  # type: ignore[attr-defined]  # read by audit
            if is_known:
                _decode_body(request)
            else:
                # If only this check failed, an empty body would be refused as invalid.
                request.body_error = Unavailable()  # type: ignore[attr-defined]  # read by the errors module
                _replace_stream(request, _FailingStream(), 1)
        return self.get_response(request)


def _decode_body(request: HttpRequest) -> None:
    transfer = _codings(request, "Transfer-Encoding")
    is_chunked = "chunked" in transfer
    length = 0 if is_chunked else _length(request)
    if not length and not is_chunked:
        return
    codings = [*_codings(request, "Content-Encoding"), *transfer]
    try:
        body = _receive(request, length, is_chunked=is_chunked)
        for coding in reversed(codings):
            body = _undo_coding(body, coding)
    except exceptions.APIException as error:
        request.body_error = error  # type: ignore[attr-defined]  # read by the errors module
        _replace_stream(request, _FailingStream(), length or 1)
    else:
        _replace_stream(request, BytesIO(body), len(body))


def _replace_stream(request: HttpRequest, stream: object, length: int) -> None:
    request._stream = cast("BinaryIO", stream)  # Django reads the body only from here
    request.META["CONTENT_LENGTH"] = str(length)


class _FailingStream:
    """A stream that raises, so that the body is not treated as empty."""

    def read(self, *_size: int) -> NoReturn:
        """Raise OSError, which Django turns into UnreadablePostError."""
        raise OSError("The body could not be read.")

    readline = read

    def close(self) -> None:
        """Do nothing."""


def _length(request: HttpRequest) -> int:
    text = request.META.get("CONTENT_LENGTH") or "0"
    return int(text) if text.isdecimal() else 0


def _codings(request: HttpRequest, header: str) -> list[str]:
    """Return the codings of a header, in order of application."""
    names = [name.strip().lower() for name in request.headers.get(header, "").split(",")]
    return [name for name in names if name and name != "identity"]


def _receive(request: HttpRequest, length: int, *, is_chunked: bool) -> bytes:
    """Read the complete body. Raises TooLarge, TruncatedBody or UnsupportedCoding."""
    environ: dict[str, Any] = getattr(request, "environ", {})
    if is_chunked and not environ.get("wsgi.input_terminated"):
        raise UnsupportedCoding(
            "This web server does not support chunked bodies. Send Content-Length."
        )
    limit = settings.DATA_UPLOAD_MAX_MEMORY_SIZE
    if length > limit:
        raise _too_large()
    # Django's own stream ends after Content-Length, the web server's after the last chunk.
    stream = environ["wsgi.input"] if is_chunked else request._stream
    body = _read(stream, limit + 1 if is_chunked else length)
    if len(body) > limit:
        raise _too_large()
    if len(body) < length:
        raise TruncatedBody
    return body


def _read(stream: Any, size: int) -> bytes:
    """Return at most ``size`` bytes."""
    try:
        body: bytes = stream.read(size)
    except Exception as error:  # each web server raises its own errors
        raise TruncatedBody from error
    return body


def _undo_coding(body: bytes, coding: str) -> bytes:
    """Undo one coding. Raises TooLarge, TruncatedBody or UnsupportedCoding."""
    if coding == "chunked":
        return body  # decoded by the web server
    if coding in ("gzip", "x-gzip"):
        return _inflate(body, GZIP)
    if coding == "deflate":
        # "deflate" means the zlib format, but some senders omit its header.
        has_header = body[:1] and body[0] & 0x0F == 8 and int.from_bytes(body[:2]) % 31 == 0
        return _inflate(body, ZLIB if has_header else RAW_DEFLATE)
    raise UnsupportedCoding(f"Unsupported coding {coding[:40]!r}. Send gzip, deflate or no coding.")


def _inflate(compressed: bytes, format_bits: int) -> bytes:
    """Decompress a body, up to the size limit."""
    limit = settings.DATA_UPLOAD_MAX_MEMORY_SIZE
    decompressed = bytearray()
    members = 1
    member = zlib.decompressobj(format_bits)
    for begin in range(0, len(compressed), CHUNK_BYTES):
        chunk = compressed[begin : begin + CHUNK_BYTES]
        while chunk:
            if member.eof:
                members += 1
                member = zlib.decompressobj(format_bits)
            try:
                decompressed += member.decompress(chunk, limit + 1 - len(decompressed))
            except zlib.error as error:
                raise TruncatedBody("The compressed body is corrupt. Retry the request.") from error
            if len(decompressed) > limit or members > GZIP_MEMBERS_MAX:
                raise _too_large()
            chunk = member.unused_data if member.eof else member.unconsumed_tail
    if not member.eof:
        raise TruncatedBody
    return bytes(decompressed)


def _too_large() -> TooLarge:
    size = settings.DATA_UPLOAD_MAX_MEMORY_SIZE // 2**20
    return TooLarge(f"The body is larger than {size} MiB (decompressed). Split it.")
