"""Data that views and middleware share through the request."""

from __future__ import annotations

from typing import Any, Protocol

from django.db.models import Model
from django.http import HttpRequest

from remediation.models import ApiToken, Pause


class CallRecord(Protocol):
    """The record of a call, which audit's middleware stores unless ``is_stored``."""

    is_stored: bool

    def prepare(self) -> bool:
        """Build the columns of the request; return whether that was possible."""

    def row(self, status_code: int, content: bytes, /) -> Model:
        """Return the unsaved row of a call that ends now with this response."""


class MachineRequest(HttpRequest):
    """A request of ``ShortChainMiddleware``."""

    user: Any
    has_credentials: bool
    call_record: CallRecord
    # A token that must be confirmed, if it was found seconds ago.
    recent_token: ApiToken | None = None
    # The pause in effect; set by a view that has read it.
    pause: Pause | None
    # Why the notification was not accepted.
    failure: Exception | None = None


def cache_decoded_body(request: HttpRequest, decoded: object) -> None:
    """Cache the parsed body for the audit middleware."""
    request.decoded_body = decoded  # type: ignore[attr-defined]  # audit's own attribute
