"""Error responses have one shape for all exceptions."""

from __future__ import annotations

import logging
from types import SimpleNamespace
from typing import Any

import pytest
from django.core.exceptions import PermissionDenied, RequestDataTooBig, ValidationError
from django.db import DataError, IntegrityError, InterfaceError, OperationalError, ProgrammingError
from django.db.models import ProtectedError
from django.http import Http404, RawPostDataException, UnreadablePostError
from rest_framework import exceptions

from remediation.api.errors import Conflict, exception_handler
from remediation.engine.operations.definitions import HasHistoryError
from remediation.models import IllegalTransitionError


def response_to(exception: Exception) -> Any:
    request = SimpleNamespace(method="GET", path="/api/v1/x", request_id="req-1")
    return exception_handler(exception, {"request": request})


@pytest.mark.parametrize(
    ("exception", "status", "code"),
    [
        (exceptions.NotFound(), 404, "not_found"),
        (Http404("No Alert"), 404, "not_found"),
        (exceptions.ParseError(), 400, "parse_error"),
        (PermissionDenied(), 403, "permission_denied"),
        (exceptions.MethodNotAllowed("PUT"), 405, "method_not_allowed"),
        (IllegalTransitionError("Run #1 cannot become running."), 409, "conflict"),
        (HasHistoryError("It has history."), 409, "conflict"),
        (ProtectedError("no", set()), 409, "conflict"),
        (IntegrityError("unique"), 409, "conflict"),
        (Conflict("Not now."), 409, "conflict"),
        (RequestDataTooBig(), 413, "too_large"),
        (UnreadablePostError(), 400, "parse_error"),
        (RawPostDataException(), 400, "parse_error"),
        (OperationalError("gone"), 503, "unavailable"),
        (InterfaceError("gone"), 503, "unavailable"),
        (ProgrammingError("no such table"), 503, "unavailable"),
        (DataError("too long"), 503, "unavailable"),
        (RuntimeError("oops"), 500, "internal"),
    ],
)
def test_every_exception_has_its_status_and_code(
    exception: Exception, status: int, code: str
) -> None:
    response = response_to(exception)

    assert response.status_code == status
    assert response.data["error"]["code"] == code
    assert response.data["error"]["message"]
    assert response.data["error"]["fields"] == {}
    assert response.data["request_id"] == "req-1"


@pytest.mark.parametrize(
    ("exception", "fields", "message"),
    [
        (ValidationError({"name": ["Too long."]}), {"name": ["Too long."]}, "name: Too long."),
        (ValidationError("Choose one."), {}, "Choose one."),
        (
            exceptions.ValidationError({"steps": [{}, {"action": ["Required."]}]}),
            {"steps.1.action": ["Required."]},
            "steps.1.action: Required.",
        ),
        (
            exceptions.ValidationError({"steps": [{"non_field_errors": ["Bad."]}]}),
            {"steps.0": ["Bad."]},
            "steps.0: Bad.",
        ),
        (
            exceptions.ValidationError({"a": ["One.", "Two."], "non_field_errors": ["Three."]}),
            {"a": ["One.", "Two."]},
            "a: One. a: Two. Three.",
        ),
    ],
)
def test_validation_errors_are_listed_by_field(
    exception: Exception, fields: dict[str, list[str]], message: str
) -> None:
    response = response_to(exception)

    assert response.status_code == 400
    assert response.data["error"] == {"code": "invalid", "message": message, "fields": fields}


def test_database_errors_are_logged_but_not_returned(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.WARNING):
        response = response_to(OperationalError("Can't connect to 'db.internal'"))

    assert "db.internal" in caplog.text
    assert "db.internal" not in str(response.data)
