"""Parsers of JSON request bodies."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import IO, Any

from rest_framework.exceptions import ParseError
from rest_framework.parsers import BaseParser

from remediation.api.errors import TooLarge
from remediation.values.json_values import BODY_DEPTH_MAX
from remediation.values.text import is_storable, storable

BYTES_MAX = 1 << 20
PROBLEMS_MAX = 50  # values that an error names
PATH_LENGTH = 200  # characters of the path of such a value
UNSTORABLE_TEXT = "Null characters and lone surrogates cannot be stored: remove them."


class JsonObject(dict[str, Any]):
    """A parsed body. ``problems``: by dotted path, why a database could not store a value.

    These values are replaced by others, so that the other fields can be checked.
    """

    def __init__(self, body: dict[str, Any]) -> None:
        self.problems: dict[str, list[str]] = {}
        super().__init__(
            (name, self._storable(value, name, BODY_DEPTH_MAX)) for name, value in body.items()
        )

    def _storable(self, value: Any, path: str, levels: int) -> Any:
        if problem := _problem(value, levels):
            name = path.partition(".")[0] if not levels else path  # a path of 20 levels is no help
            if len(self.problems) < PROBLEMS_MAX:
                self.problems.setdefault(name[:PATH_LENGTH], [problem])
            value = _replacement(value, levels)
        if isinstance(value, list):
            return [
                self._storable(item, f"{path}.{index}", levels - 1)
                for index, item in enumerate(value)
            ]
        if isinstance(value, dict):
            return {
                storable(key): self._storable(item, f"{path}.{storable(key)}", levels - 1)
                for key, item in value.items()
            }
        return value


class ObjectParser(BaseParser):
    """Parse a JSON object up to 1 MiB."""

    media_type = "application/json"

    def parse(
        self,
        stream: IO[Any],
        media_type: str | None = None,
        parser_context: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        """Return the object. Raises TooLarge or ParseError."""
        text = stream.read(BYTES_MAX + 1)
        if len(text) > BYTES_MAX:
            raise TooLarge("The body is larger than 1 MiB: shorten it.")
        body = read_json(text)
        if not isinstance(body, dict):
            raise ParseError('The body must be a JSON object such as {"name": "..."}.')
        if not all(is_storable(key) for key in body):
            raise ParseError(
                "A key of the body contains null characters or lone surrogates: remove them."
            )
        return JsonObject(body)


def read_json(text: bytes) -> Any:
    """Return a JSON value. Raises ParseError with the position of the error."""
    try:
        return json.loads(text)
    except UnicodeDecodeError as error:
        raise ParseError(f"The body is not UTF-8 (byte {error.start}). Send JSON.") from error
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}: {error.msg}"
        raise ParseError(f"The body is not JSON ({place}).") from error
    except RecursionError as error:
        raise ParseError("The body is nested too deeply.") from error
    except ValueError as error:
        # Python limits the digits of an integer.
        raise ParseError("The body contains a number with too many digits.") from error


def _problem(value: Any, levels: int) -> str:
    """Return why a database could not store the value itself, or ''."""
    if isinstance(value, str) and not is_storable(value):
        return UNSTORABLE_TEXT
    if isinstance(value, float) and not math.isfinite(value):
        return "This number is not finite: send a finite one."
    if isinstance(value, dict | list) and not levels:
        return f"This is nested deeper than {BODY_DEPTH_MAX} levels: make it flatter."
    if isinstance(value, dict) and not all(is_storable(key) for key in value):
        return UNSTORABLE_TEXT
    return ""


def _replacement(value: Any, levels: int) -> Any:
    if isinstance(value, str):
        return storable(value)
    if isinstance(value, float):
        return 0.0
    return value if levels else type(value)()
