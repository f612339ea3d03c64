"""Hold everything back and let it go on; and say on every answer that it is so."""

from __future__ import annotations

import datetime
import logging
from collections.abc import Callable
from typing import Any

from django.db import Error
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from drf_spectacular.utils import extend_schema
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from remediation import clock
from remediation.api import filters, verbs
from remediation.api.calls import AlwaysJson, cause_of
from remediation.api.errors import API_PREFIX
from remediation.api.parsers import ObjectParser
from remediation.engine.operations import pause
from remediation.models import Pause, Scope

logger = logging.getLogger(__name__)

HEADER = "X-PoundCake-Paused"
REASON_LENGTH = 200  # characters of a reason that the header bears


class PauseView(APIView):
    """The pause: while it holds nothing new is started, on any machine."""

    content_negotiation_class = AlwaysJson
    parser_classes = [ObjectParser]
    scopes = {"get": Scope.READ, "post": Scope.OPERATE, "delete": Scope.OPERATE}

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """Refuse query parameters, which nothing here reads."""
        super().initial(request, *args, **kwargs)
        filters.reject_parameters(request)

    @extend_schema(responses=verbs.PauseSerializer)
    def get(self, _request: Request) -> Response:
        """Say whether there is a pause, and what is in flight."""
        return _state()

    @extend_schema(request=verbs.PauseBody, responses=verbs.PauseSerializer)
    def post(self, request: Request) -> Response:
        """Start nothing new from now on; a pause that holds is replaced."""
        body, cause = verbs.read(verbs.PauseBody, request), cause_of(request)
        expires_at = body.get("expires_at")
        if "for_seconds" in body:
            expires_at = cause.at + datetime.timedelta(seconds=body["for_seconds"])
        try:
            pause.pause(reason=body["reason"], expires_at=expires_at, cause=cause)
        except pause.InvalidPause as error:
            name, _, text = str(error).partition(": ")
            raise ValidationError({name: [text]}) from error
        return _state()

    @extend_schema(request=None, responses={200: verbs.PauseSerializer})
    def delete(self, request: Request) -> Response:
        """Let everything go on; without a pause this changes nothing."""
        pause.resume(cause=cause_of(request))
        return _state()


def _state() -> Response:
    held = Pause.current(at=clock.now())
    state = {
        "paused": held is not None,
        "reason": held.reason if held else "",
        "actor": held.actor if held else "",
        "since": held.created_at if held else None,
        "expires_at": held.expires_at if held else None,
        "in_flight": pause.in_flight(),
    }
    return Response(verbs.PauseSerializer(state).data)


class PauseHeaderMiddleware:
    """Put the reason of a pause on every answer of the API to a known caller."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """Answer the request; while paused the answer bears ``X-PoundCake-Paused``."""
        response = self.get_response(request)
        if request.path_info.startswith(API_PREFIX) and (reason := _reason_told_to(request)):
            response[HEADER] = reason
        return response


def _reason_told_to(request: HttpRequest) -> str:
    """Return why nothing runs, in ASCII on one line; '' without a pause and for strangers."""
    try:
        # Asked each time: it is one row of an index, and nobody is told of a pause that is over.
        held = Pause.current(at=clock.now()) if request.user.is_authenticated else None
    except Error as error:
        logger.warning("Whether there is a pause cannot be told: %s", error)
        return ""
    line = " ".join(held.reason.split()) if held else ""
    return "".join(letter if " " <= letter <= "~" else "?" for letter in line)[:REASON_LENGTH]
