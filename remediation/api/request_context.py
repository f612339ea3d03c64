"""Data that views and the audit middleware share through the request."""

from __future__ import annotations

from rest_framework.request import Request

from remediation.models import Cause


def cause_of(request: Request) -> Cause:
    """Return the caller and the request id, for transitions."""
    request_id: str = request.request_id  # type: ignore[attr-defined]  # set by audit's middleware
    return Cause(actor=request.user.get_username(), request_id=request_id)


def cache_decoded_body(request: Request, decoded: object) -> None:
    """Cache the parsed body for the audit middleware."""
    request._request.decoded_body = decoded  # type: ignore[attr-defined]  # audit's own attribute
