"""What every view knows of a call: who makes it, and that the answer is JSON."""

from __future__ import annotations

from collections.abc import Iterable

from rest_framework.negotiation import DefaultContentNegotiation
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request

from remediation.models import Cause


class AlwaysJson(DefaultContentNegotiation):
    """Answer in JSON whatever the caller accepts: a 406 would lose an alert."""

    def select_renderer(
        self,
        request: Request,
        renderers: Iterable[BaseRenderer],
        format_suffix: str | None = None,
    ) -> tuple[BaseRenderer, str]:
        """Return the view's first renderer."""
        renderer = next(iter(renderers))
        return renderer, str(renderer.media_type)


def cause_of(request: Request) -> Cause:
    """Return who calls, and the id of the call."""
    request_id: str = request.request_id  # type: ignore[attr-defined]  # set by audit's middleware
    return Cause(actor=request.user.get_username(), request_id=request_id)


def remember_body(request: Request, decoded: object) -> None:
    """Keep what the body was read as, so that whoever records the call need not read it again."""
    request._request.decoded_body = decoded  # type: ignore[attr-defined]
