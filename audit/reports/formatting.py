"""How values are written for people."""

from __future__ import annotations

import datetime
import json
from typing import Any
from urllib.parse import urlsplit

OUTPUTS = ("stdout", "stderr", "traceback")


def safe_url(text: str) -> str | None:
    """Return a URL that may become a link: http or https with a host; else None.

    Links come from strangers, and ``javascript:`` is a URL too.
    """
    try:
        parts = urlsplit(text.strip())
    except ValueError:
        return None
    return parts.geturl() if parts.scheme in ("http", "https") and parts.netloc else None


def as_unicode(value: Any) -> Any:
    """Copy a JSON value with its lone surrogates, which no answer can hold, replaced."""
    text = json.dumps(value, ensure_ascii=False)
    return json.loads(text.encode(errors="replace"))


def pretty(value: Any) -> str:
    """Return a JSON value as indented text, '' for nothing."""
    if value is None or value == {}:
        return ""
    return value if isinstance(value, str) else json.dumps(value, indent=2, ensure_ascii=False)


def compact(value: Any) -> str:
    """Return a JSON value as text in one line, a text as it is."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def printed(result: Any) -> list[tuple[str, str]]:
    """Return (name, text) of what commands printed, wherever the runner put it.

    ``core.local`` has stdout at the top, ``core.remote`` one level down, under the host's name.
    """
    if not isinstance(result, dict):
        return []
    hosts = [(f"{name}: ", part) for name, part in result.items() if isinstance(part, dict)]
    return [
        (f"{prefix}{name}", part[name])
        for prefix, part in [("", result), *hosts]
        for name in OUTPUTS
        if isinstance(part.get(name), str) and part[name].strip()
    ]


def span(begin: datetime.datetime | None, end: datetime.datetime | None) -> str:
    """Return the time between two moments, to two units: ``4 min 10 s``; '' when one is open."""
    if begin is None or end is None:
        return ""
    seconds = max((end - begin).total_seconds(), 0.0)
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min"
