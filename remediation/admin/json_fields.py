"""JSON in forms: shown indented, and refused with the line where it is wrong."""

from __future__ import annotations

import json
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.forms.fields import InvalidJSONInput

from remediation.admin.formatting import indented_json


class JSONTextarea(forms.Textarea):
    """A box for code."""

    def __init__(self, attrs: dict[str, Any] | None = None) -> None:
        shape = {"rows": 6, "cols": 80, "class": "json", "spellcheck": "false"}
        super().__init__(shape | (attrs or {}))


class JSONField(forms.JSONField):
    """A JSON value as text; what a database could not keep is refused."""

    widget = JSONTextarea

    def bound_data(self, data: Any, initial: Any) -> Any:
        """Return what was written as it was written."""
        return super().bound_data(data, initial) if self.disabled else InvalidJSONInput(data or "")

    def prepare_value(self, value: Any) -> Any:
        """Return the text of a value for the box."""
        return value if isinstance(value, InvalidJSONInput) else indented_json(value)

    def to_python(self, value: Any) -> Any:
        """Return the value. Raises ValidationError with the place of the mistake."""
        if not isinstance(value, str) or not value.strip():
            return None
        try:
            converted = json.loads(value)
            # Neither NaN and infinity nor half a surrogate pair can be stored.
            json.dumps(converted, allow_nan=False, ensure_ascii=False).encode()
        except json.JSONDecodeError as error:
            raise ValidationError(
                f"This is not JSON: {error.msg} in line {error.lineno}, column {error.colno}."
            ) from None
        except (ValueError, RecursionError):
            raise ValidationError(
                "This holds what cannot be stored: NaN, infinity, half a character or a depth"
                " without end. Take it out."
            ) from None
        return converted


class JSONObjectField(JSONField):
    """A JSON object; nothing is the empty one."""

    def to_python(self, value: Any) -> Any:
        """Return the object."""
        converted = super().to_python(value)
        return {} if converted is None else converted
