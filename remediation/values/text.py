"""Text that every database can store."""

from __future__ import annotations

import re

TEXT_LENGTH_MAX = 10_000  # characters of one reason or error text
REPLACEMENT = "\ufffd"
# The null character ends texts in some drivers; UTF-8 cannot encode lone surrogates.
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


def is_storable(text: str) -> bool:
    """Return whether a text has no null character and no lone surrogate."""
    return _UNSTORABLE.search(text) is None


def storable(text: str) -> str:
    """Return the text with null characters and lone surrogates replaced by U+FFFD."""
    return _UNSTORABLE.sub(REPLACEMENT, text)


def fit_text(text: str, *, length: int = TEXT_LENGTH_MAX) -> str:
    """Return a storable text; keep only the beginning and the end of a long one."""
    cleaned = storable(text)
    if len(cleaned) <= length:
        return cleaned
    note = f" [... {len(cleaned)} characters in all, cut here ...] "
    kept = max(length - len(note), 0)
    return cleaned[: kept // 2] + note + cleaned[len(cleaned) - (kept - kept // 2) :]
