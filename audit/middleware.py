"""Give every request an id of our own, and keep a record of every call of the API."""

from __future__ import annotations

import json
import logging
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from django.core.exceptions import RequestDataTooBig
from django.db import Error
from django.http import HttpRequest, HttpResponse, UnreadablePostError
from django.http.response import HttpResponseBase

from audit.models import ApiCall
from remediation import clock
from remediation.engine.secrets import known_secrets
from remediation.models import new_id
from remediation.models.statements import insert
from remediation.redaction import mask, mask_headers, mask_query, mask_text

logger = logging.getLogger(__name__)

RECORDED_PREFIX = "/api/v1/"
UNRECORDED_PREFIXES = ("/api/v1/schema", "/api/v1/docs")
CLIENT_REQUEST_ID_LENGTH = 200
# Bytes of a body that are kept whole: some 300 alerts. Of a longer one its beginning is enough,
# for ``alerts.raw_data`` holds each of its alerts as it came.
BODY_BYTES_MAX = 256 * 1024
BEGINNING_LENGTH = 2_000
# Lone surrogates, which UTF-8 does not have, and the null character, which ends texts elsewhere.
UNSTORABLE = re.compile("[\ud800-\udfff\x00]")
READS = ("GET", "HEAD", "OPTIONS")

GetResponse = Callable[[HttpRequest], HttpResponseBase]


class IdentifiedRequest(HttpRequest):
    """A request with our unique ``request_id`` and the caller's own X-Request-ID, or ''."""

    request_id: str
    client_request_id: str
    # What a view read the body as, where it did.
    decoded_body: object = None


class Tally:
    """A count that any thread of this process may raise."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.value = 0

    def add_one(self) -> None:
        """Raise the count."""
        with self._lock:
            self.value += 1


# Calls of this process that were answered and could not be recorded.
unrecorded_calls = Tally()


class RequestIdMiddleware:
    """Name the request before anything else sees it, and tell the caller the name."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: IdentifiedRequest) -> HttpResponseBase:
        """Answer the request; the answer bears ``X-Request-ID``."""
        request.request_id = new_id()
        theirs = request.headers.get("X-Request-ID", "")
        printable = "".join(character for character in theirs if character.isprintable())
        request.client_request_id = printable[:CLIENT_REQUEST_ID_LENGTH]
        response = self.get_response(request)
        response["X-Request-ID"] = request.request_id
        return response


class ApiCallMiddleware:
    """Write one ``ApiCall`` for each call of the API once its answer is known.

    The record is a transaction of its own: what the call did is committed whether or not it can
    be recorded.
    """

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: IdentifiedRequest) -> HttpResponseBase:
        """Answer the request and record the call."""
        if not _is_recorded(request.path_info):
            return self.get_response(request)
        created_at, begin = clock.now(), time.perf_counter()
        body = _read_body(request)
        response = self.get_response(request)
        elapsed_ms = (time.perf_counter() - begin) * 1000
        with _answer_stands(request):
            call = ApiCall(
                created_at=created_at,
                completed_at=clock.now(),
                processing_time_ms=round(elapsed_ms, 3),
                **_describe(request, body),
                **_describe_answer(request, response),
            )
            _write(call)
        return response


def _write(call: ApiCall) -> None:
    try:
        insert([call])
    except Error as error:
        # What was sent is what the database refuses, if it refuses anything.
        logger.warning("The call %s is recorded without its bodies: %s", call.request_id, error)
        call.body = call.response_body = {"truncated": True, "reason": "it could not be stored"}
        call.headers, call.query_params = {}, {}
        insert([call])


def _is_recorded(path: str) -> bool:
    return path.startswith(RECORDED_PREFIX) and not path.startswith(UNRECORDED_PREFIXES)


@contextmanager
def _answer_stands(request: IdentifiedRequest) -> Iterator[None]:
    try:
        yield
    except Exception:
        # Whatever it is: an error here would have the caller repeat what has been done.
        logger.exception("The API call %s could not be recorded.", request.request_id)
        unrecorded_calls.add_one()


def _read_body(request: HttpRequest) -> bytes | None:
    """Return the body; None when it is too big or breaks off, which the view will meet as well.

    It is read before the view, because a parser may empty the stream.
    """
    try:
        return request.body
    except (RequestDataTooBig, UnreadablePostError):
        return None


def _describe(request: IdentifiedRequest, body: bytes | None) -> dict[str, Any]:
    secrets = known_secrets()
    if body is None:
        size = request.META.get("CONTENT_LENGTH") or "0"
        kept = _cut(b"", int(size) if size.isdecimal() else 0, secrets)
    else:
        kept = _keep(body, secrets, decoded=getattr(request, "decoded_body", None))
    return {
        "request_id": request.request_id,
        "client_request_id": request.client_request_id,
        "method": (request.method or "")[:10],
        "path": _storable(mask_text(request.path_info, secrets))[:500],
        "query_params": _storable(mask_query(dict(request.GET.lists()), secrets=secrets)),
        "headers": _storable(mask_headers(dict(request.headers), secrets=secrets)),
        "body": kept,
        "client_host": request.META.get("REMOTE_ADDR", "")[:100],
    }


def _describe_answer(request: HttpRequest, response: HttpResponseBase) -> dict[str, Any]:
    # A successful read answers with rows that stand in the database already.
    is_kept = request.method not in READS or response.status_code >= 400
    content = response.content if is_kept and isinstance(response, HttpResponse) else b""
    return {
        # The REST framework puts whom it recognized, a token's name too, on Django's request.
        "actor": _storable(request.user.get_username())[:150] if hasattr(request, "user") else "",
        "status_code": response.status_code,
        "response_body": _keep(content, known_secrets()),
    }


def _keep(content: bytes, secrets: list[str], *, decoded: Any = None) -> Any:
    """Return what is stored of a body: its JSON, its text, its beginning or None, masked.

    ``decoded``: its JSON, where somebody has read it.
    """
    if not content:
        return None
    if len(content) > BODY_BYTES_MAX:
        return _cut(content, len(content), secrets)
    try:
        value = decoded or _DECODER.decode(content.decode())
    except (ValueError, RecursionError):
        return _cut(content, len(content), secrets)
    return _storable(mask(value, secrets=secrets))


def _cut(content: bytes, size: int, secrets: list[str]) -> dict[str, Any] | str:
    """Return the beginning of a body that is not kept whole; a short text is only a text."""
    # Masked before it is cut, so that no half of a secret stays at the end.
    text = content[: 8 * BEGINNING_LENGTH].decode(errors="replace")
    beginning = _storable(mask_text(text, secrets))
    if size <= BEGINNING_LENGTH:
        return str(beginning)
    return {"truncated": True, "bytes": size, "beginning": beginning[:BEGINNING_LENGTH]}


def _real(digits: str) -> float | str:
    number = float(digits)
    return digits if number in (float("inf"), float("-inf")) else number


# NaN, Infinity and 1e400, which Python reads and no database stores, become text.
_DECODER = json.JSONDecoder(parse_float=_real, parse_constant=str)


def _storable(value: Any) -> Any:
    """Copy a JSON value, which masking has made shallow, so that every database can hold it."""
    if isinstance(value, str):
        return UNSTORABLE.sub("�", value)
    if isinstance(value, list):
        return [_storable(item) for item in value]
    if isinstance(value, dict):
        return {_storable(key): _storable(item) for key, item in value.items()}
    return value
