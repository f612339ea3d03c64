"""Error responses of the API: ``{"error": {"code", "message", "fields"}, "request_id"}``.

``code`` is machine-readable, ``message`` human-readable. ``fields`` maps the names of invalid
fields to messages; a nested name is such as ``steps.0.parameters``.
"""

from __future__ import annotations

import logging
import sys
from typing import Any

from django.core.exceptions import (
    NON_FIELD_ERRORS,
    RequestDataTooBig,
)
from django.core.exceptions import PermissionDenied as DjangoPermissionDenied
from django.core.exceptions import ValidationError as DjangoValidationError
from django.db import DatabaseError, IntegrityError, InterfaceError
from django.db.models import ProtectedError
from django.http import (
    Http404,
    HttpRequest,
    HttpResponse,
    HttpResponseBase,
    JsonResponse,
    RawPostDataException,
    UnreadablePostError,
)
from django.views import defaults
from rest_framework import exceptions, serializers, status
from rest_framework.response import Response
from rest_framework.settings import api_settings

from remediation.engine import database_errors
from remediation.engine.operations.definitions import HasHistoryError
from remediation.engine.operations.errors import NotPossible
from remediation.models import IllegalTransitionError
from remediation.values.text import fit_text

logger = logging.getLogger(__name__)

TEXT_LENGTH = 1_000  # characters of one error text; it may quote the value
MALFORMED = "Malformed request: check the URL, its parameters (at most 5,000) and the Host header."
API_PREFIX = "/api/"
NON_FIELD = {NON_FIELD_ERRORS, api_settings.NON_FIELD_ERRORS_KEY}

# Django raises the first on the first read of an unreadable body, the second on later reads.
BODY_READ_ERRORS = (UnreadablePostError, RawPostDataException)

Fields = dict[str, list[str]]


class Conflict(exceptions.APIException):
    """The state of the row does not allow the request. ``retry_after``: seconds, if known."""

    status_code = status.HTTP_409_CONFLICT
    default_code = "conflict"

    def __init__(self, detail: str, *, retry_after: int | None = None) -> None:
        super().__init__(detail)
        self.headers = {"Retry-After": str(retry_after)} if retry_after else {}


class PreconditionFailed(exceptions.APIException):
    """If-Match does not have the current entity tag, which the response has as ETag."""

    status_code = status.HTTP_412_PRECONDITION_FAILED
    default_code = "precondition_failed"

    def __init__(self, etag: str) -> None:
        super().__init__(
            f"The object has changed: its ETag is now {etag}, which If-Match does not have. Read"
            " it again, apply your change to it and retry."
        )
        self.headers = {"ETag": etag}


class KeyReusedError(exceptions.APIException):
    """The Idempotency-Key belongs to another request of the caller."""

    status_code = status.HTTP_422_UNPROCESSABLE_ENTITY
    default_code = "idempotency_key_reused"
    default_detail = (
        "You have sent this Idempotency-Key with another URL or body in the last 24 hours. Use a"
        " new key for a new request."
    )


class TooLarge(exceptions.APIException):
    """The body exceeds the size limit."""

    status_code = status.HTTP_413_REQUEST_ENTITY_TOO_LARGE
    default_code = "too_large"


class TruncatedBody(exceptions.ParseError):
    """The body is truncated or its compressed data is corrupt."""

    default_detail = "The request body was truncated. Retry the request."


class UnsupportedCoding(exceptions.APIException):
    """The body has an unsupported content or transfer coding."""

    status_code = status.HTTP_415_UNSUPPORTED_MEDIA_TYPE
    default_code = "unsupported_coding"


class Unavailable(exceptions.APIException):
    """The database is unavailable; a retry may succeed."""

    status_code = status.HTTP_503_SERVICE_UNAVAILABLE
    default_code = "unavailable"
    default_detail = "The database is unavailable and nothing was stored. Retry the request."
    headers = {"Retry-After": "5"}


class UnreadableBody(Unavailable):
    """The body could not be read, from a sender that retries only after a 5xx."""

    default_code = "unreadable_body"


class InternalError(exceptions.APIException):
    """An unexpected error in PoundCake."""

    default_code = "internal"
    default_detail = "Internal error. Search the server log for this request_id."


class ErrorSerializer(serializers.Serializer[Any]):
    """The error: its code, message and invalid fields."""

    code = serializers.CharField()
    message = serializers.CharField()
    fields = serializers.DictField(  # type: ignore[assignment]  # a JSON key of the API
        child=serializers.ListField(child=serializers.CharField())
    )


class ErrorResponseSerializer(serializers.Serializer[Any]):
    """The body of an error response."""

    error = ErrorSerializer()
    request_id = serializers.CharField(required=False)


def exception_handler(exception: Exception, context: dict[str, Any]) -> Response:
    """Return the response for an exception in an API view."""
    request = context["request"]
    error = _translate(exception)
    if isinstance(exception, BODY_READ_ERRORS):
        error = unreadable_body_reason(request)
    if isinstance(error, InternalError):
        logger.error("%s %s failed", request.method, request.path, exc_info=exception)
    elif isinstance(error, UnreadableBody):
        logger.warning("%s %s: %s", request.method, request.path, error.detail)
    elif isinstance(error, Unavailable):
        logger.warning("%s %s: database error: %s", request.method, request.path, exception)
    response = Response(error_response_body(error, request), status=error.status_code)
    if header := getattr(error, "auth_header", None):
        response["WWW-Authenticate"] = header
    for name, value in getattr(error, "headers", {}).items():
        response[name] = value
    return response


def unreadable_body_reason(request: Any) -> exceptions.APIException:
    """Return the reason why the request body could not be read."""
    error: exceptions.APIException = getattr(request, "body_error", None) or TruncatedBody()
    return error


def error_response_body(error: exceptions.APIException, request: Any) -> dict[str, Any]:
    """Return the response body of an error."""
    fields: Fields = {}
    if isinstance(error, exceptions.ValidationError):
        code = "invalid"
        fields = _flatten(error.detail)
        message = _summary(fields)
        fields.pop("", None)
    else:
        code = str(error.get_codes())
        message = str(error.detail)
    body: dict[str, Any] = {"error": {"code": code, "message": message, "fields": fields}}
    if request_id := getattr(request, "request_id", ""):
        body["request_id"] = request_id
    return body


def _translate(exception: Exception) -> exceptions.APIException:
    """Return the API exception for an exception of Django or of the engine."""
    if isinstance(exception, exceptions.UnsupportedMediaType):
        text = f"{exception.detail} Send JSON with Content-Type: application/json."
        return exceptions.UnsupportedMediaType("", detail=text)
    if isinstance(exception, exceptions.APIException):
        return exception
    if isinstance(exception, DjangoValidationError):
        return exceptions.ValidationError(serializers.as_serializer_error(exception))
    for kind, make in _TRANSLATIONS:
        if isinstance(exception, kind):
            error: exceptions.APIException = make(exception)
            return error
    return InternalError()


# The first match applies: an IntegrityError is a DatabaseError too.
_TRANSLATIONS: tuple[tuple[Any, Any], ...] = (
    (Http404, lambda error: exceptions.NotFound(str(error) or None)),
    (DjangoPermissionDenied, lambda error: exceptions.PermissionDenied(str(error) or None)),
    (
        (IllegalTransitionError, NotPossible, HasHistoryError),
        lambda error: Conflict(str(error)),
    ),
    (
        ProtectedError,
        lambda _: Conflict(
            "Objects with history cannot be deleted. Disable them instead (is_enabled false)."
        ),
    ),
    (
        IntegrityError,
        lambda _: Conflict("Conflicting change. Read the object again and retry."),
    ),
    ((DatabaseError, InterfaceError), lambda _: Unavailable()),
    (RequestDataTooBig, lambda _: TooLarge("The body is larger than 32 MiB. Split it.")),
)


def _flatten(detail: Any, path: str = "") -> Fields:
    """Return the messages by dotted field path; '' is the path of non-field errors."""
    if isinstance(detail, dict):
        children = [("" if key in NON_FIELD else str(key), value) for key, value in detail.items()]
    elif isinstance(detail, list) and any(isinstance(item, dict | list) for item in detail):
        children = [(str(index), value) for index, value in enumerate(detail)]
    else:
        texts = detail if isinstance(detail, list) else [detail]
        return {path: [fit_text(str(text), length=TEXT_LENGTH) for text in texts]}
    found: Fields = {}
    for key, value in children:
        for name, texts in _flatten(value, ".".join(filter(None, (path, key)))).items():
            found.setdefault(name, []).extend(texts)
    return {name: texts for name, texts in found.items() if texts}


def _summary(fields: Fields) -> str:
    """Return all messages as one text, each prefixed with its field."""
    return " ".join(
        f"{name}: {text}" if name else text for name, texts in fields.items() for text in texts
    )


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponseBase:
    """Return 400 or 413 for a request that Django rejected before the view."""
    if not request.path.startswith(API_PREFIX):
        return defaults.bad_request(request, exception)
    if isinstance(exception, RequestDataTooBig):
        return _json(_translate(exception), request)
    return _json(exceptions.ParseError(MALFORMED), request)


def permission_denied(request: HttpRequest, exception: Exception) -> HttpResponseBase:
    """Return 403 for a page that the user's roles do not allow; the page says how to get a role."""
    if not request.path.startswith(API_PREFIX):
        page = "admin/remediation/permission_denied.html"
        return defaults.permission_denied(request, exception, template_name=page)
    return _json(exceptions.PermissionDenied(), request)


def not_found(request: HttpRequest, exception: Exception) -> HttpResponseBase:
    """Return 404 for an unknown path."""
    if not request.path.startswith(API_PREFIX):
        return defaults.page_not_found(request, exception)
    return _json(exceptions.NotFound(), request)


def server_error(request: HttpRequest) -> HttpResponseBase:
    """Return 503 if the database cannot be used, else 500; Django has logged the error."""
    # Django calls this while it handles the exception.
    is_unavailable = bool(database_errors.kind(sys.exc_info()[1]))
    if not request.path.startswith(API_PREFIX):
        return _unavailable_page() if is_unavailable else defaults.server_error(request)
    return _json(Unavailable() if is_unavailable else InternalError(), request)


def _unavailable_page() -> HttpResponse:
    # Without names of hosts and users, since the caller may not be authenticated.
    text = "The database cannot be used now. The log says why, and which setting to check."
    page = HttpResponse(f"<h1>PoundCake is unavailable</h1><p>{text}</p>", status=503)
    page["Retry-After"] = "5"
    return page


def _json(error: exceptions.APIException, request: HttpRequest) -> HttpResponse:
    return JsonResponse(error_response_body(error, request), status=error.status_code)
