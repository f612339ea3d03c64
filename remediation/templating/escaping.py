"""Escape text for StackStorm, which renders Jinja in every parameter that it receives.

Measured, and read in its source (st2common/util/param.py): StackStorm renders a string that
contains ``{{`` or ``{%`` by itself, and an object or a list as one JSON text. It trims blocks: the
newline after a block and the blanks before it are lost, hence the ``+`` and the newlines inside.
Jinja also converts CR to LF and drops one final newline.
"""

import re
from collections.abc import Sequence

from remediation.templating.errors import TemplateError
from remediation.templating.values import DatastoreReference, Part

OPENER = re.compile(r"\{[{%#]")
# A final { or < becomes an opener if a workflow or the datastore appends to it.
RENDERED_TWICE = re.compile(r"\{[{%#]|<%|[{<]\Z")
FORBIDDEN_IN_KEYS = re.compile(r"\{[{%#]|<%")

# In JSON text line ends are escape sequences, which Jinja does not change.
NESTED = OPENER
TOP_LEVEL = re.compile(r"\{[{%#]\n*|\{(?=\r)|\r")


def escape(parts: Sequence[Part], *, is_nested: bool) -> str:
    """Return the text that StackStorm renders to ``parts``, with the datastore references resolved.

    ``is_nested``: the text is inside an object or a list.
    """
    if not any(isinstance(part, DatastoreReference) or OPENER.search(part) for part in parts):
        return "".join(map(str, parts))
    pattern = NESTED if is_nested else TOP_LEVEL
    escaped = ""
    for part in parts:
        if isinstance(part, str):
            escaped += pattern.sub(_raw, part)
            continue
        if escaped.endswith("{"):
            escaped = escaped[:-1] + _raw_block("{")
        escaped += part.template
    return escaped + "\n" if escaped.endswith("\n") and not is_nested else escaped


def refuse_rendered_twice(parts: Sequence[Part], field: str) -> None:
    """Refuse text that would be a template after StackStorm has removed our escaping."""
    if any(isinstance(part, str) and RENDERED_TWICE.search(part) for part in parts):
        raise TemplateError(
            field,
            "contains {{, {%, {# or <%, or ends in { or <: this action's runner renders parameters "
            "twice, and escaping protects only once",
        )


def refuse_key(key: str, field: str) -> None:
    """Refuse an object key that StackStorm would render, since keys cannot be escaped."""
    if FORBIDDEN_IN_KEYS.search(key):
        raise TemplateError(
            field, "has a key that contains {{, {%, {# or <%: keys are not rendered"
        )


def _raw(found: re.Match[str]) -> str:
    return "{{ '\\r' }}" if found[0] == "\r" else _raw_block(found[0])


def _raw_block(text: str) -> str:
    return "{%+ raw %}" + text + "{% endraw %}"
