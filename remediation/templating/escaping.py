"""How text survives StackStorm's own Jinja, which renders every parameter that it receives.

Measured on StackStorm, and read in its source (st2common/util/param.py): a text parameter with
``{{`` or ``{%`` in it is rendered by itself; an object or a list is rendered as one JSON text.
Blocks are trimmed: the newline after one and the blanks before one are lost, hence the ``+`` and
the newlines inside. Jinja also turns CR into LF and drops one final newline.
"""

import re
from collections.abc import Sequence

from remediation.templating.errors import TemplateError
from remediation.templating.values import DatastoreReference, Part

OPENER = re.compile(r"\{[{%#]")
# A last { or < opens something with what a workflow, or the datastore, may put after it.
RENDERED_AGAIN = re.compile(r"\{[{%#]|<%|[{<]\Z")
FORBIDDEN_IN_KEYS = re.compile(r"\{[{%#]|<%")

# In JSON text the ends of lines are written as escapes, which Jinja leaves alone.
NESTED = OPENER
ALONE = re.compile(r"\{[{%#]\n*|\{(?=\r)|\r")


def escape(parts: Sequence[Part], *, is_nested: bool) -> str:
    """Return the text that StackStorm renders into ``parts``, its references filled in.

    ``is_nested``: the text stands inside an object or a list.
    """
    if not any(isinstance(part, DatastoreReference) or OPENER.search(part) for part in parts):
        return "".join(map(str, parts))
    pattern = NESTED if is_nested else ALONE
    escaped = ""
    for part in parts:
        if isinstance(part, str):
            escaped += pattern.sub(_raw, part)
            continue
        if escaped.endswith("{"):
            escaped = escaped[:-1] + _raw_block("{")
        escaped += part.template
    return escaped + "\n" if escaped.endswith("\n") and not is_nested else escaped


def refuse_rendered_again(parts: Sequence[Part], field: str) -> None:
    """Refuse text that would be a template once StackStorm has taken our escape off."""
    if any(isinstance(part, str) and RENDERED_AGAIN.search(part) for part in parts):
        raise TemplateError(
            field,
            "holds {{, {%, {# or <%, or ends in { or <: this action's runner renders it again, "
            "and no escape lasts that long",
        )


def refuse_key(key: str, field: str) -> None:
    """Refuse an object's key that StackStorm would render: keys cannot be escaped."""
    if FORBIDDEN_IN_KEYS.search(key):
        raise TemplateError(field, "has a key that holds {{, {%, {# or <%; keys are never rendered")


def _raw(found: re.Match[str]) -> str:
    return "{{ '\\r' }}" if found[0] == "\r" else _raw_block(found[0])


def _raw_block(text: str) -> str:
    return "{%+ raw %}" + text + "{% endraw %}"
