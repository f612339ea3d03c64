"""Data that views and middleware share through the request."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest

from remediation.models import ApiToken


class MachineRequest(HttpRequest):
    """A request of ``ShortChainMiddleware``."""

    user: Any
    has_credentials: bool
    # A token that must be confirmed, if it was found seconds ago.
    recent_token: ApiToken | None = None
    # Why the notification was not accepted.
    failure: Exception | None = None


def cache_decoded_body(request: HttpRequest, decoded: object) -> None:
    """Cache the parsed body for the audit middleware."""
    request.decoded_body = decoded  # type: ignore[attr-defined]  # audit's own attribute
