"""One shape for every error: ``{"error": {"code", "message", "fields"}, "request_id"}``.

``code`` is for programs, ``message`` for people. ``fields`` maps what is wrong in the request to
sentences; a nested field is written ``steps.0.parameters``.
"""

from __future__ import annotations

import logging
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

from remediation.engine.operations.definitions import HasHistoryError
from remediation.engine.operations.errors import NotPossible
from remediation.models import IllegalTransitionError

logger = logging.getLogger(__name__)

API_PREFIX = "/api/"
NON_FIELD = {NON_FIELD_ERRORS, api_settings.NON_FIELD_ERRORS_KEY}

# What Django raises, the first time and later, for a body that cannot be read.
UNREADABLE = (UnreadablePostError, RawPostDataException)

Fields = dict[str, list[str]]


class Conflict(exceptions.APIException):
    """The row is not in a state that lets this happen."""

    status_code = status.HTTP_409_CONFLICT
    default_code = "conflict"


class TooLarge(exceptions.APIException):
    """The body is larger than is taken."""

    status_code = status.HTTP_413_REQUEST_ENTITY_TOO_LARGE
    default_code = "too_large"


class TruncatedBody(exceptions.ParseError):
    """The body ended too early, or what compressed it is damaged."""

    default_detail = "The body broke off before its end: send it again."


class UnsupportedCoding(exceptions.APIException):
    """The body is encoded in a way that nothing here undoes."""

    status_code = status.HTTP_415_UNSUPPORTED_MEDIA_TYPE
    default_code = "unsupported_coding"


class Unavailable(exceptions.APIException):
    """The database cannot do it now; the same request may succeed soon."""

    status_code = status.HTTP_503_SERVICE_UNAVAILABLE
    default_code = "unavailable"
    default_detail = "The database cannot take the request now, nothing was stored: send it again."


class UnreadableBody(Unavailable):
    """The body could not be read, and the sender repeats only what is answered with 5xx."""

    default_code = "unreadable_body"


class Broken(exceptions.APIException):
    """A fault of ours."""

    default_code = "internal"
    default_detail = "This is a fault of PoundCake; its log tells more under the request_id."


class ErrorSerializer(serializers.Serializer[Any]):
    """The inner object of every error, for the schema."""

    code = serializers.CharField()
    message = serializers.CharField()
    fields = serializers.DictField(  # type: ignore[assignment]  # the name is the wire format's
        child=serializers.ListField(child=serializers.CharField())
    )


class ErrorAnswerSerializer(serializers.Serializer[Any]):
    """The body of every error, for the schema."""

    error = ErrorSerializer()
    request_id = serializers.CharField(required=False)


def exception_handler(exception: Exception, context: dict[str, Any]) -> Response:
    """Return the answer for whatever a view of the API raised."""
    request = context["request"]
    error = body_error(request) if isinstance(exception, UNREADABLE) else _translate(exception)
    if isinstance(error, Broken):
        logger.error("%s %s failed", request.method, request.path, exc_info=exception)
    elif isinstance(error, UnreadableBody):
        logger.warning("%s %s: %s", request.method, request.path, error.detail)
    elif isinstance(error, Unavailable):
        logger.warning("%s %s: the database: %s", request.method, request.path, exception)
    answer = Response(body_of(error, request), status=error.status_code)
    if header := getattr(error, "auth_header", None):
        answer["WWW-Authenticate"] = header
    if isinstance(error, Unavailable):
        answer["Retry-After"] = "5"
    return answer


def body_error(request: Any) -> exceptions.APIException:
    """Return why the body of a request could not be read."""
    error: exceptions.APIException = getattr(request, "body_error", None) or TruncatedBody()
    return error


def body_of(error: exceptions.APIException, request: Any) -> dict[str, Any]:
    """Return the body of an error."""
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
    """Return the API's word for an exception of Django or of the machine."""
    if isinstance(exception, exceptions.APIException):
        return exception
    if isinstance(exception, DjangoValidationError):
        return exceptions.ValidationError(serializers.as_serializer_error(exception))
    for kind, make in _TRANSLATIONS:
        if isinstance(exception, kind):
            error: exceptions.APIException = make(exception)
            return error
    return Broken()


# The first that fits: an IntegrityError is a DatabaseError too.
_TRANSLATIONS: tuple[tuple[Any, Any], ...] = (
    (Http404, lambda error: exceptions.NotFound(str(error) or None)),
    (DjangoPermissionDenied, lambda error: exceptions.PermissionDenied(str(error) or None)),
    (
        (IllegalTransitionError, NotPossible, HasHistoryError),
        lambda error: Conflict(str(error)),
    ),
    (
        ProtectedError,
        lambda _: Conflict("It has history and stays: disable it instead (is_enabled false)."),
    ),
    (
        IntegrityError,
        lambda _: Conflict("Another change came in between: read it again and repeat yours."),
    ),
    ((DatabaseError, InterfaceError), lambda _: Unavailable()),
    (RequestDataTooBig, lambda _: TooLarge("The body is larger than 32 MiB: send less in one.")),
)


def _flatten(detail: Any, path: str = "") -> Fields:
    """Return the sentences of nested details by the dotted path of their field, '' for none."""
    if isinstance(detail, dict):
        children = [("" if key in NON_FIELD else str(key), value) for key, value in detail.items()]
    elif isinstance(detail, list) and any(isinstance(item, dict | list) for item in detail):
        children = [(str(place), value) for place, value in enumerate(detail)]
    else:
        texts = detail if isinstance(detail, list) else [detail]
        return {path: [str(text) for text in texts]}
    found: Fields = {}
    for key, value in children:
        for name, texts in _flatten(value, ".".join(filter(None, (path, key)))).items():
            found.setdefault(name, []).extend(texts)
    return {name: texts for name, texts in found.items() if texts}


def _summary(fields: Fields) -> str:
    """Return all of it as one text, each sentence behind its field."""
    return " ".join(
        f"{name}: {text}" if name else text for name, texts in fields.items() for text in texts
    )


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponseBase:
    """Answer what Django refused before a view was reached."""
    if not request.path.startswith(API_PREFIX):
        return defaults.bad_request(request, exception)
    if isinstance(exception, RequestDataTooBig):
        return _json(_translate(exception), request)
    return _json(exceptions.ParseError("The request cannot be read."), request)


def not_found(request: HttpRequest, exception: Exception) -> HttpResponseBase:
    """Answer for a path that does not exist."""
    if not request.path.startswith(API_PREFIX):
        return defaults.page_not_found(request, exception)
    return _json(exceptions.NotFound(), request)


def server_error(request: HttpRequest) -> HttpResponseBase:
    """Answer for a fault outside the views of the API; Django has logged it."""
    if not request.path.startswith(API_PREFIX):
        return defaults.server_error(request)
    return _json(Broken(), request)


def _json(error: exceptions.APIException, request: HttpRequest) -> HttpResponse:
    return JsonResponse(body_of(error, request), status=error.status_code)
