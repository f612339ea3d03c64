"""The texts that pages and the API show for a stored inquiry: its questions, how to answer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

QUESTIONS_MAX = 50  # properties of one schema
QUESTION_LENGTH_MAX = 300  # characters


def respond_command(inquiry: Mapping[str, Any]) -> str:
    """Return the shell command that answers an inquiry."""
    return f"st2 inquiry respond {inquiry['id']}"


def questions(inquiry: Mapping[str, Any]) -> list[str]:
    """Return one line for each value of the answer, empty if the schema is not known.

    Example: ``approve (boolean, required): Reboot the host?``
    """
    properties = _mapping(_mapping(inquiry.get("schema")).get("properties"))
    return [
        _question(name, _mapping(schema))
        for name, schema in list(properties.items())[:QUESTIONS_MAX]
    ]


def _question(name: str, schema: Mapping[str, Any]) -> str:
    kind = [str(schema["type"])] if "type" in schema else []
    if schema.get("required") is True:
        kind.append("required")
    if isinstance(choices := schema.get("enum"), list):
        kind.append("one of " + ", ".join(map(str, choices)))
    if "default" in schema:
        kind.append(f"default {schema['default']}")
    text = f"{name} ({', '.join(kind)})" if kind else name
    if description := schema.get("description"):
        text += f": {description}"
    return text if len(text) <= QUESTION_LENGTH_MAX else f"{text[: QUESTION_LENGTH_MAX - 1]}…"


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
