"""Parsers of JSON request bodies."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from typing import IO, Any

from rest_framework.exceptions import ParseError, ValidationError
from rest_framework.parsers import BaseParser

from remediation.api.errors import TooLarge
from remediation.values.json_values import BODY_DEPTH_MAX
from remediation.values.text import is_storable

BYTES_MAX = 1 << 20


class ObjectParser(BaseParser):
    """Parse a JSON object up to 1 MiB, and reject values that a database cannot store."""

    media_type = "application/json"

    def parse(
        self,
        stream: IO[Any],
        media_type: str | None = None,
        parser_context: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        """Return the object. Raises TooLarge, ParseError or ValidationError."""
        text = stream.read(BYTES_MAX + 1)
        if len(text) > BYTES_MAX:
            raise TooLarge("The body is larger than 1 MiB.")
        body = read_json(text)
        if not isinstance(body, dict):
            raise ParseError('The body must be a JSON object such as {"name": "..."}.')
        if any(_problems(list(body))):
            raise ParseError("A key of the body contains null characters or lone surrogates.")
        problems = {name: list(_problems(value)) for name, value in body.items()}
        if found := {name: texts[:1] for name, texts in problems.items() if texts}:
            raise ValidationError(found)
        return body


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


def _problems(value: Any, levels: int = BODY_DEPTH_MAX) -> Iterator[str]:
    """Yield why a database could not hold the value."""
    if isinstance(value, str) and not is_storable(value):
        yield "Null characters and lone surrogates cannot be stored: take them out."
    elif isinstance(value, float) and not math.isfinite(value):
        yield "This holds a number that is not finite: write one that is."
    elif isinstance(value, dict | list):
        if not levels:
            yield f"This is nested deeper than {BODY_DEPTH_MAX} levels: make it flatter."
            return
        members = [*value, *value.values()] if isinstance(value, dict) else value
        for member in members:
            yield from _problems(member, levels - 1)
