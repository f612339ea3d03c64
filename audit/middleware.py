"""Middleware that assigns request ids and records API calls."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import Any

from django.core.exceptions import RequestDataTooBig
from django.db import Error
from django.http import HttpRequest, HttpResponse, UnreadablePostError
from django.http.response import HttpResponseBase

from audit.models import ApiCall
from audit.record_budget import RecordBudget
from remediation import clock, log_context
from remediation.engine.secret_values import known_secrets
from remediation.engine.totals.definitions import (
    API_REQUESTS,
    API_SECONDS,
    SKIPPED_RECORDS,
    UNRECORDED_CALLS,
)
from remediation.models import new_id
from remediation.models.actor import kind_of_user
from remediation.models.inserts import insert
from remediation.redaction import mask, mask_headers, mask_query, mask_text, may_contain
from remediation.values.clients import client_address
from remediation.values.text import storable

logger = logging.getLogger(__name__)

RECORDED_PREFIX = "/api/v1/"
ENDPOINTS = {"/api/v1/webhook": "webhook", "/api/v1/stackstorm/webhook": "callback"}
UNRECORDED_PREFIXES = ("/api/v1/schema", "/api/v1/docs")
CLIENT_REQUEST_ID_LENGTH = 200
# Largest body that is stored complete, about 300 alerts. Of a larger one only the beginning is
# stored: ``alerts.raw_data`` has each alert as received.
BODY_BYTES_MAX = 256 * 1024
BEGINNING_LENGTH = 2_000
READS = ("GET", "HEAD", "OPTIONS")

GetResponse = Callable[[HttpRequest], HttpResponseBase]


class IdentifiedRequest(HttpRequest):
    """A request with our unique ``request_id`` and the caller's own X-Request-ID, or ''."""

    request_id: str
    client_request_id: str
    # Whether the token or the session is valid; set before the body is decoded.
    has_credentials: bool = False
    # The parsed body, if a view cached it.
    decoded_body: object = None
    call_record: CallRecord


unknown_callers = RecordBudget()


class RequestIdMiddleware:
    """Assign a request id and return it in ``X-Request-ID``."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: IdentifiedRequest) -> HttpResponseBase:
        """Return the response with ``X-Request-ID``."""
        request.request_id = new_id()
        client_id = request.headers.get("X-Request-ID", "")
        printable = "".join(character for character in client_id if character.isprintable())
        request.client_request_id = printable[:CLIENT_REQUEST_ID_LENGTH]
        with log_context.bind(request_id=request.request_id):
            response = self.get_response(request)
        response["X-Request-ID"] = request.request_id
        return response


class ApiCallMiddleware:
    """Record each API call as one ``ApiCall`` after the response.

    Of a call without valid credentials only method, path, client, status and time are recorded, and
    only a limited number of them.

    The record has its own transaction, so the effects of the call are committed even if it cannot
    be recorded. The webhook inserts the row of ``request.call_record`` with the alerts instead; if
    that fails, it stores the alerts without it.
    """

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: IdentifiedRequest) -> HttpResponseBase:
        """Return the response and record the call."""
        if not _is_recorded(request.path_info):
            return self.get_response(request)
        record = request.call_record = CallRecord(request)
        record.body = _read_body(request) if record.is_known else None
        response = self.get_response(request)
        elapsed = time.perf_counter() - record.begin
        endpoint = _endpoint(request.path_info)
        API_REQUESTS.add(endpoint=endpoint, code=str(response.status_code))
        API_SECONDS.observe(elapsed, endpoint=endpoint)
        if record.is_stored:
            return response
        if not record.is_known and not unknown_callers.take():
            SKIPPED_RECORDS.add()
            return response
        with _log_failure(request):
            _write(record.row(response.status_code, _recorded_content(request, response)))
        return response


class CallRecord:
    """The record of a call in progress. ``is_stored``: its row was committed with its effects."""

    def __init__(self, request: IdentifiedRequest) -> None:
        self.request = request
        self.created_at, self.begin = clock.now(), time.perf_counter()
        self.body: bytes | None = None
        self.is_stored = False

    @property
    def is_known(self) -> bool:
        """Whether to record the content: anybody's would fill the database.

        A view may find that a token has just been revoked.
        """
        return getattr(self.request, "has_credentials", False)

    @cached_property
    def request_columns(self) -> dict[str, Any]:
        """The columns that only depend on the request; they take most of the time of ``row``."""
        return _request_columns(self.request, self.body)

    def prepare(self) -> bool:
        """Build the columns of the request; return whether that was possible."""
        try:
            return bool(self.request_columns)
        except Exception:  # noqa: BLE001 - logged when the middleware tries again
            return False

    def row(self, status_code: int, content: bytes) -> ApiCall:
        """Return the unsaved row of a call that ends now. ``content``: of the response."""
        columns = _identity_columns(self.request)
        if self.is_known:
            columns |= self.request_columns | _response_columns(self.request, content)
        return ApiCall(
            created_at=self.created_at,
            completed_at=clock.now(),
            processing_time_ms=round((time.perf_counter() - self.begin) * 1000, 3),
            status_code=status_code,
            **columns,
        )


def _write(call: ApiCall) -> None:
    try:
        insert([call])
    except Error as error:
        # The database may reject a value of the request or response.
        logger.warning("API call %s recorded without bodies: %s", call.request_id, error)
        call.body = call.response_body = {"truncated": True, "reason": "it could not be stored"}
        call.headers, call.query_params = {}, {}
        insert([call])


def _endpoint(path: str) -> str:
    """Return the label of the two endpoints that machines call, else ``other``."""
    return ENDPOINTS.get(path.rstrip("/"), "other")


def _is_recorded(path: str) -> bool:
    return path.startswith(RECORDED_PREFIX) and not path.startswith(UNRECORDED_PREFIXES)


@contextmanager
def _log_failure(request: IdentifiedRequest) -> Iterator[None]:
    """Log and count a failure to record; never fail the request."""
    try:
        yield
    except Exception:
        # An error response would make the caller retry a request that has succeeded.
        logger.exception("Could not record API call %s.", request.request_id)
        UNRECORDED_CALLS.add()


def _read_body(request: HttpRequest) -> bytes | None:
    """Return the body, or None if it is too large or truncated; the view reports that error.

    The body is read before the view, because a parser may consume the stream.
    """
    try:
        return request.body
    except (RequestDataTooBig, UnreadablePostError):
        return None


def _identity_columns(request: IdentifiedRequest) -> dict[str, Any]:
    return {
        "request_id": request.request_id,
        "method": (request.method or "")[:10],
        "path": _storable(mask_text(request.path_info, known_secrets()))[:500],
        "client_host": client_address(request),
    }


def _request_columns(request: IdentifiedRequest, body: bytes | None) -> dict[str, Any]:
    secrets = known_secrets()
    if body is None:
        size = request.META.get("CONTENT_LENGTH") or "0"
        stored = _truncate(b"", int(size) if size.isdecimal() else 0, secrets)
    else:
        stored = _stored_body(body, secrets, decoded=getattr(request, "decoded_body", None))
    return {
        "client_request_id": request.client_request_id,
        "query_params": _storable(mask_query(dict(request.GET.lists()), secrets=secrets)),
        "headers": _storable(mask_headers(dict(request.headers), secrets=secrets)),
        "body": stored,
    }


def _recorded_content(request: HttpRequest, response: HttpResponseBase) -> bytes:
    # The response of a successful read repeats rows that the database has.
    is_stored = request.method not in READS or response.status_code >= 400
    return response.content if is_stored and isinstance(response, HttpResponse) else b""


def _response_columns(request: HttpRequest, content: bytes) -> dict[str, Any]:
    return {
        # REST framework sets the authenticated user or token on Django's request.
        "actor": _storable(request.user.get_username())[:150] if hasattr(request, "user") else "",
        "actor_kind": kind_of_user(request.user) if hasattr(request, "user") else "",
        "response_body": _stored_body(content, known_secrets()),
    }


def _stored_body(content: bytes, secrets: list[str], *, decoded: Any = None) -> Any:
    """Return the masked body to store: JSON, text, a truncated body, or None.

    ``decoded``: the parsed body, if a view cached it.
    """
    if not content:
        return None
    if len(content) > BODY_BYTES_MAX:
        return _truncate(content, len(content), secrets)
    try:
        text = content.decode()
        value = decoded or _DECODER.decode(text)
    except (ValueError, RecursionError):
        return _truncate(content, len(content), secrets)
    if "\\" in text:
        return _storable(mask(value, secrets=secrets))
    # Without escapes, each string of the value is a part of the text and can be stored.
    return mask(value, secrets=secrets if may_contain(text, secrets) else ())


def _truncate(content: bytes, size: int, secrets: list[str]) -> dict[str, Any] | str:
    """Return the beginning of the body as text, with its size if the body is long."""
    # Mask before truncating, so that no part of a secret remains at the end.
    text = content[: 8 * BEGINNING_LENGTH].decode(errors="replace")
    beginning = _storable(mask_text(text, secrets))
    if size <= BEGINNING_LENGTH:
        return str(beginning)
    return {"truncated": True, "bytes": size, "beginning": beginning[:BEGINNING_LENGTH]}


def _finite_float(digits: str) -> float | str:
    number = float(digits)
    return digits if number in (float("inf"), float("-inf")) else number


# Python parses NaN, Infinity and 1e400, but databases cannot store them: keep them as text.
_DECODER = json.JSONDecoder(parse_float=_finite_float, parse_constant=str)


def _storable(value: Any) -> Any:
    """Copy a JSON value without unstorable characters. Masking has limited its depth."""
    if isinstance(value, str):
        return storable(value)
    if isinstance(value, list):
        return [_storable(item) for item in value]
    if isinstance(value, dict):
        return {_storable(key): _storable(item) for key, item in value.items()}
    return value
