"""Parse the time formats that senders of alerts use: RFC 3339, Go's String() and Unix time."""

import re
from datetime import UTC, datetime, timedelta
from fractions import Fraction

YEAR_MAX = 9998  # one less than Python's maximum, so that no time zone exceeds it
# Senders use the zero values of clocks for unset times: year 1 in Go, 1970 in Unix, in any zone.
_UNSET_UNTIL = datetime(1971, 1, 1, tzinfo=UTC)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# Larger numbers have a smaller unit: as seconds this is the year 5138, as milliseconds 1973.
_SECONDS_MAX = 10**11
_SHOWN = 80  # characters of a value in a note

_NUMBER = re.compile(r"[+-]?[0-9]{1,30}(?:\.[0-9]{1,30})?")
_TIME = re.compile(
    r"(?P<date>[0-9]{4}-[0-9]{2}-[0-9]{2})[Tt ](?P<minute>[0-9]{2}:[0-9]{2}):(?P<second>[0-9]{2})"
    r"(?:[.,](?P<fraction>[0-9]+))?"
    r"(?: ?(?P<zone>[Zz]|[+-](?:[01][0-9]|2[0-3])(?::?[0-5][0-9](?::?[0-5][0-9])?)?))?"
    # Go's String() appends the name of the zone and the monotonic clock.
    r"(?: (?:[A-Za-z]{1,10}|[+-][0-9]{2,4}))?(?: m=[+-][0-9.]{1,30})?"
)


def read_time(value: object) -> tuple[datetime | None, str]:
    """Return a time in UTC, truncated to microseconds, and a note if it was not used as sent.

    The time is None if it is missing, unset (before 1971) or invalid. A number, or a string of
    digits, is Unix time in seconds, milliseconds, microseconds or nanoseconds. The note completes
    a sentence that begins with the name of the field, or is ''.
    """
    if value is None or value == "":
        return None, ""
    try:
        time, note = _read(value)
    except (OverflowError, ValueError):
        return None, f"is {_show(value)}, which is not a valid time: it counts as missing"
    if time is None or time < _UNSET_UNTIL:
        return None, ""
    if time.year > YEAR_MAX:
        return None, f"is after the year {YEAR_MAX}: it counts as missing"
    return time, note


def _read(value: object) -> tuple[datetime | None, str]:
    if isinstance(value, str):
        text = value.strip()
        return (_unix(text), "") if _NUMBER.fullmatch(text) else _formatted(text)
    if isinstance(value, int | float) and not isinstance(value, bool):
        return _unix(str(value)), ""
    raise ValueError(value)


def _unix(number: str) -> datetime:
    seconds = Fraction(number)
    while abs(seconds) >= _SECONDS_MAX:
        seconds /= 1000
    return _EPOCH + timedelta(microseconds=int(seconds * 1_000_000))


def _formatted(text: str) -> tuple[datetime | None, str]:
    parts = _TIME.fullmatch(text)
    if parts is None:
        time, is_zoned = _iso(text)
    elif parts["date"] < "0002":
        return None, ""
    else:
        # Python has no leap seconds: 23:59:60 is the second after 23:59:59.
        second, leap = ("59", 1) if parts["second"] == "60" else (parts["second"], 0)
        time = datetime.fromisoformat(f"{parts['date']}T{parts['minute']}:{second}+00:00")
        microseconds = int((parts["fraction"] or "0")[:6].ljust(6, "0"))
        time += timedelta(seconds=leap, microseconds=microseconds) - _offset(parts["zone"])
        is_zoned = parts["zone"] is not None
    return time, "" if is_zoned else f"is {_show(text)}, without a time zone: UTC is assumed"


def _iso(text: str) -> tuple[datetime, bool]:
    """Parse ISO 8601 formats outside of RFC 3339, such as 20261123T054606Z."""
    time = datetime.fromisoformat(text)
    return (time.astimezone(UTC), True) if time.tzinfo else (time.replace(tzinfo=UTC), False)


def _offset(zone: str | None) -> timedelta:
    if zone is None or zone in "Zz":
        return timedelta(0)
    digits = zone[1:].replace(":", "").ljust(6, "0")
    offset = timedelta(hours=int(digits[:2]), minutes=int(digits[2:4]), seconds=int(digits[4:]))
    return -offset if zone.startswith("-") else offset


def _show(value: object) -> str:
    return repr(value)[:_SHOWN]
