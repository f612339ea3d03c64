"""Read values of StackStorm's JSON; a value of an unexpected type counts as absent."""

from collections.abc import Mapping
from datetime import UTC, datetime


def as_text(value: object) -> str:
    """Return a string unchanged, and '' for any other value."""
    return value if isinstance(value, str) else ""


def as_object(value: object) -> Mapping[str, object]:
    """Return a JSON object unchanged, and {} for any other value."""
    return value if isinstance(value, dict) else {}


def as_list(value: object) -> list[object]:
    """Return a JSON array unchanged, and [] for any other value."""
    return value if isinstance(value, list) else []


def as_time(value: object) -> datetime | None:
    """Return StackStorm's timestamp (``2026-11-23T05:31:45.477486Z``), None for any other value."""
    try:
        stamp = datetime.fromisoformat(as_text(value))
        return stamp.astimezone(UTC) if stamp.tzinfo else stamp.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        return None
