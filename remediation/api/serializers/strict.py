"""Base serializers that reject unknown fields."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers
from rest_framework.request import Request


class StrictBody(serializers.Serializer[Any]):
    """A request body without unknown fields. Read-only fields are accepted and ignored."""

    def to_internal_value(self, data: Any) -> Any:
        """Return the validated values. Raises ValidationError for unknown fields."""
        if isinstance(data, dict) and (unknown := set(data) - set(self.fields)):
            text = f"Unknown field. Known fields: {', '.join(self.fields) or 'none'}."
            raise serializers.ValidationError({name: [text] for name in sorted(unknown)})
        return super().to_internal_value(data)


class StrictModelSerializer(StrictBody, serializers.ModelSerializer[Any]):
    """A model serializer that rejects unknown fields."""


def read_body(serializer_class: type[StrictBody], request: Request) -> dict[str, Any]:
    """Return the validated body of a request. Raises ValidationError by field."""
    body = serializer_class(data=request.data)
    body.is_valid(raise_exception=True)
    return dict(body.validated_data)
