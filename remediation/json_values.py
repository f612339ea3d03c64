"""Make JSON values and texts fit the database: their characters, their size and their depth.

The size that counts is that of the SQL statement, which MariaDB refuses above max_allowed_packet
(16 MiB by default). JSON is sent as ASCII, so one character of Chinese takes six bytes, and SQL
doubles every backslash and every quote.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from typing import Any

VALUE_BYTES_MAX = 1 << 20  # of one JSON value, as sent to the database
TEXT_LENGTH_MAX = 10_000  # characters of one reason or error text
REPLACEMENT = "\ufffd"

# The null character ends texts in some drivers; UTF-8 cannot encode lone surrogates.
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
_UNSTORABLE_ESCAPE = re.compile(r"\\u(?:0000|d[89a-f])")
# From long to short: characters kept of each text, and members of each list and object.
_LIMITS = ((1 << 17, 4096), (1 << 15, 1024), (1 << 13, 256), (1 << 11, 64), (256, 16), (64, 4))


def sent_bytes(value: Any) -> int:
    """Return how many bytes of SQL a JSON value takes. Raises ValueError for what is no JSON."""
    return _escaped(json.dumps(value))


def fit(value: Any, *, source: str = "", limit: int = VALUE_BYTES_MAX) -> Any:
    """Return a JSON value that the database can hold, its long texts and lists cut to ``limit``.

    ``source``: where the complete value is, for the notes in the places of what was cut. A value
    that fits already is returned itself.
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


def fit_text(text: str, *, length: int = TEXT_LENGTH_MAX) -> str:
    """Return a text that the database can hold; of a long one the beginning and the end."""
    cleaned = _UNSTORABLE.sub(REPLACEMENT, text)
    if len(cleaned) <= length:
        return cleaned
    note = f" [... {len(cleaned)} characters in all, cut here ...] "
    kept = max(length - len(note), 0)
    return cleaned[: kept // 2] + note + cleaned[len(cleaned) - (kept - kept // 2) :]


def _escaped(sent: str) -> int:
    return len(sent) + sent.count("\\") + sent.count('"') + sent.count("'")


def _cleaned(value: Any) -> Any:
    if isinstance(value, str):
        return _UNSTORABLE.sub(REPLACEMENT, value)
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, Mapping):
        return {_cleaned(str(key)): _cleaned(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_cleaned(item) for item in value]
    return value


class _Cutter:
    """Cuts the texts, lists and objects of one value to the same limits."""

    def __init__(self, length: int, members: int, source: str) -> None:
        self.length = length
        self.members = members
        self.source = f"; {source}" if source else ""

    def cut(self, value: Any) -> Any:
        """Return a copy whose long parts hold a note in the place of what was cut."""
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
        """Return the text that stands in the place of what was cut."""
        return f"[... {size} in all, cut here{self.source} ...]"

    def _cut_text(self, text: str) -> str:
        if len(text) <= self.length:
            return text
        half = self.length // 2
        return f"{text[:half]}\n{self.note(f'{len(text)} characters')}\n{text[-half:]}"
