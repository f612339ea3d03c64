"""Data that views and the audit middleware share through the request."""

from __future__ import annotations

from rest_framework.request import Request


def cache_decoded_body(request: Request, decoded: object) -> None:
    """Cache the parsed body for the audit middleware."""
    request._request.decoded_body = decoded  # type: ignore[attr-defined]  # audit's own attribute
