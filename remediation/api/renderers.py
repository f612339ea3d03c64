"""The renderer of the API."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rest_framework.renderers import JSONRenderer

from remediation.engine.visibility import visible_to


class VisibleJSONRenderer(JSONRenderer):
    """JSON without the values that the caller may not see.

    Errors are unchanged: they describe the request, and their fields have the names of its fields.
    """

    def render(
        self,
        data: Any,
        accepted_media_type: str | None = None,
        renderer_context: Mapping[str, Any] | None = None,
    ) -> Any:
        """Return the response body."""
        context = renderer_context or {}
        response = context.get("response")
        if data is not None and response is not None and response.status_code < 400:
            data = visible_to(context["request"], data)
        return super().render(data, accepted_media_type, renderer_context)
