"""The cause of a change made in admin."""

from __future__ import annotations

from django.http import HttpRequest

from remediation.models import Cause


def request_cause(request: HttpRequest) -> Cause:
    """Return the signed-in user and the request id as the cause of a change."""
    request_id: str = request.request_id  # type: ignore[attr-defined]  # set by audit's middleware
    return Cause(actor=request.user.get_username(), request_id=request_id)
