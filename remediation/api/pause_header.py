"""Middleware that adds the reason of an active pause to API responses."""

from __future__ import annotations

import logging
from collections.abc import Callable

from django.db import Error
from django.http import HttpRequest
from django.http.response import HttpResponseBase

from remediation import clock
from remediation.api.errors import API_PREFIX
from remediation.models import Pause

logger = logging.getLogger(__name__)

HEADER = "X-PoundCake-Paused"
REASON_LENGTH = 200  # characters of the reason in the header


class PauseHeaderMiddleware:
    """Add ``X-PoundCake-Paused`` to API responses for authenticated callers while paused."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """Return the response, with the header while paused."""
        response = self.get_response(request)
        if request.path_info.startswith(API_PREFIX) and (reason := _visible_reason(request)):
            response[HEADER] = reason
        return response


def _current(request: HttpRequest) -> Pause | None:
    """Return the current pause, which the view may have read with the data of its response.

    Not cached: it is one indexed row, and the header must not outlive the pause.
    """
    if hasattr(request, "pause"):
        pause: Pause | None = request.pause
        return pause
    return Pause.current(at=clock.now())


def _visible_reason(request: HttpRequest) -> str:
    """Return the reason as one line of ASCII; '' without a pause or authentication."""
    try:
        current = _current(request) if request.user.is_authenticated else None
    except Error as error:
        logger.warning("Could not read the pause: %s", error)
        return ""
    line = " ".join(current.reason.split()) if current else ""
    return "".join(letter if " " <= letter <= "~" else "?" for letter in line)[:REASON_LENGTH]
