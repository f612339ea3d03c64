"""Format values for display."""

from __future__ import annotations

import datetime
import json
from typing import Any

OUTPUTS = ("stdout", "stderr", "traceback")


def replace_surrogates(value: Any) -> Any:
    """Copy a JSON value with lone surrogates replaced, because they cannot be encoded."""
    text = json.dumps(value, ensure_ascii=False)
    return json.loads(text.encode(errors="replace"))


def indented_json(value: Any) -> str:
    """Return indented JSON, a string unchanged, or '' for None and {}."""
    if value is None or value == {}:
        return ""
    return value if isinstance(value, str) else json.dumps(value, indent=2, ensure_ascii=False)


def compact_json(value: Any) -> str:
    """Return JSON on one line, or a string unchanged."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def command_outputs(result: Any) -> list[tuple[str, str]]:
    """Return (name, text) for the stdout, stderr and traceback in a result.

    ``core.local`` has them at the top level, ``core.remote`` below the host's name.
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


def format_duration(begin: datetime.datetime | None, end: datetime.datetime | None) -> str:
    """Return the time from begin to end such as ``4 min 10 s``, or '' if either is None."""
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
