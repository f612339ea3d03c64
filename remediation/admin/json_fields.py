"""Form fields for JSON: shown indented; a syntax error names its line and column."""

from __future__ import annotations

import json
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.forms.fields import InvalidJSONInput

from remediation.admin.formatting import indented_json


class JSONTextarea(forms.Textarea):
    """A text area in a monospace font, without spell checking."""

    def __init__(self, attrs: dict[str, Any] | None = None) -> None:
        defaults = {"rows": 6, "cols": 80, "class": "json", "spellcheck": "false"}
        super().__init__(defaults | (attrs or {}))


class JSONField(forms.JSONField):
    """A JSON value as text; rejects values that the database cannot store."""

    widget = JSONTextarea

    def bound_data(self, data: Any, initial: Any) -> Any:
        """Return the user's text unchanged, even if it is valid JSON."""
        return super().bound_data(data, initial) if self.disabled else InvalidJSONInput(data or "")

    def prepare_value(self, value: Any) -> Any:
        """Return the value as text for the widget."""
        return value if isinstance(value, InvalidJSONInput) else indented_json(value)

    def to_python(self, value: Any) -> Any:
        """Return the value. Raises ValidationError with the line and column of the error."""
        if not isinstance(value, str) or not value.strip():
            return None
        try:
            converted = json.loads(value)
            # NaN, infinity and lone surrogates cannot be stored.
            json.dumps(converted, allow_nan=False, ensure_ascii=False).encode()
        except json.JSONDecodeError as error:
            raise ValidationError(
                f"Invalid JSON: {error.msg} in line {error.lineno}, column {error.colno}."
            ) from None
        except (ValueError, RecursionError):
            raise ValidationError(
                "This value cannot be stored. Remove NaN, infinity, lone surrogates, very long"
                " numbers or very deep nesting."
            ) from None
        return converted


class JSONObjectField(JSONField):
    """A JSON object; empty text is the empty object."""

    def to_python(self, value: Any) -> Any:
        """Return the value, ``{}`` for empty text or null."""
        converted = super().to_python(value)
        return {} if converted is None else converted
