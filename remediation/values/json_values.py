"""Make JSON values fit the database: their characters, size and depth.

The size is that of the SQL statement, which MariaDB refuses above max_allowed_packet (16 MiB by
default). JSON is sent as ASCII, so one Chinese character takes six bytes, and SQL doubles every
backslash and quote. MariaDB refuses JSON of 32 levels.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from typing import Any

from remediation.values.text import storable

VALUE_BYTES_MAX = 1 << 20  # bytes of SQL of one JSON value
# Levels of an alert or of a request body. A stored row nests it some levels deeper.
BODY_DEPTH_MAX = 20
# Levels of a JSON value of a definition, which a bucket version nests.
DEFINITION_DEPTH_MAX = 16
_UNSTORABLE_ESCAPE = re.compile(r"\\u(?:0000|d[89a-f])")
# Characters kept of each text, and members kept of each list and object, from long to short.
_LIMITS = ((1 << 17, 4096), (1 << 15, 1024), (1 << 13, 256), (1 << 11, 64), (256, 16), (64, 4))


def sent_bytes(value: Any) -> int:
    """Return how many bytes of SQL a JSON value takes. Raises ValueError if it is not JSON."""
    return _escaped(json.dumps(value))


def depth(value: Any) -> int:
    """Return the number of levels of objects and lists of a JSON value."""
    members = value.values() if isinstance(value, dict) else value
    if not isinstance(value, dict | list):
        return 0
    return 1 + max((depth(member) for member in members), default=0)


def fit(value: Any, *, source: str = "", limit: int = VALUE_BYTES_MAX) -> Any:
    """Return a JSON value that the database can store, with long texts and lists cut to ``limit``.

    ``source``: where the complete value is; the notes at the cuts name it. A value that fits is
    returned unchanged.
    """
    try:
        sent = json.dumps(value, allow_nan=False)
    except ValueError:
        value = _cleaned(value)
        sent = json.dumps(value)
    if _UNSTORABLE_ESCAPE.search(sent):
        value = _cleaned(value)
        sent = json.dumps(value)
    if _escaped(sent) <= limit:
        return value
    for length, members in _LIMITS:
        shorter = _Cutter(length, members, source).cut(value)
        if sent_bytes(shorter) <= limit:
            return shorter
    return _Cutter(64, 4, source).note(f"{len(sent)} bytes of JSON")


def _escaped(sent: str) -> int:
    return len(sent) + sent.count("\\") + sent.count('"') + sent.count("'")


def _cleaned(value: Any) -> Any:
    if isinstance(value, str):
        return storable(value)
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, Mapping):
        return {_cleaned(str(key)): _cleaned(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_cleaned(item) for item in value]
    return value


class _Cutter:
    """Cuts all texts, lists and objects of a value to the same limits."""

    def __init__(self, length: int, members: int, source: str) -> None:
        self.length = length
        self.members = members
        self.source = f"; {source}" if source else ""

    def cut(self, value: Any) -> Any:
        """Return a copy with a note at each cut."""
        if isinstance(value, str):
            return self._cut_text(value)
        if isinstance(value, Mapping):
            kept = list(value.items())[: self.members]
            shorter = {key[: self.length]: self.cut(item) for key, item in kept}
            if len(value) > len(kept):
                shorter["..."] = self.note(f"{len(value)} members")
            return shorter
        if isinstance(value, list | tuple):
            items = [self.cut(item) for item in value[: self.members]]
            return [*items, self.note(f"{len(value)} items")] if len(value) > len(items) else items
        return value

    def note(self, size: str) -> str:
        """Return the text that replaces the part that was cut."""
        return f"[... {size} in all, cut here{self.source} ...]"

    def _cut_text(self, text: str) -> str:
        if len(text) <= self.length:
            return text
        half = self.length // 2
        return f"{text[:half]}\n{self.note(f'{len(text)} characters')}\n{text[-half:]}"
