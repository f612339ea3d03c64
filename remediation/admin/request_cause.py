"""Who does something in admin, as the record names them."""

from __future__ import annotations

from django.http import HttpRequest

from remediation.models import Cause


def request_cause(request: HttpRequest) -> Cause:
    """Return the signed-in person and the inbound call."""
    request_id: str = request.request_id  # type: ignore[attr-defined]  # set by audit's middleware
    return Cause(actor=request.user.get_username(), request_id=request_id)
