"""Read StackStorm's responses: JSON that can be stored, error texts that can be shown."""

import html
import json
import math
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

MASK = "********"
MAX_ERROR_TEXT = 500  # characters
MAX_RETRY_AFTER = 300.0  # seconds; a longer Retry-After is cut to this

_MAX_PAGE = 20_000  # characters of an HTML page that are read

# Python refuses to read longer integers from text (sys.get_int_max_str_digits).
_MAX_INTEGER_DIGITS = 4300
_LONE_SURROGATE = re.compile("[\ud800-\udfff]")
# StackStorm prints a database row in place of a user name.
_USER_ROW = re.compile(r'"?UserDB\([^()]*?\bname="([^"]*)"[^()]*\)"?')
# The title of a page repeats its body.
_MARKUP = re.compile(r"<(head|style|script)\b.*?</\1>|<[^>]*>", re.DOTALL | re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Response:
    """An HTTP response.

    ``body``: its JSON, None if it is not JSON. ``location``, ``date``: the headers, or empty.
    ``retry_after``: seconds of the Retry-After header, or None. Secrets are masked.
    """

    status: int
    error_text: str
    location: str
    date: str
    body: object = field(repr=False)
    retry_after: float | None = None


def read_json(content: bytes) -> object:
    """Parse JSON into a value that every database can store.

    StackStorm passes on the output of actions. NaN, infinities, numbers beyond a float and
    integers too long to parse become strings; lone surrogates become U+FFFD.
    Raises ValueError if ``content`` is not JSON, or nested deeper than Python's recursion limit.
    """
    try:
        value: object = json.loads(
            content.decode("utf-8", errors="replace"),
            parse_constant=str,
            parse_float=_float,
            parse_int=_integer,
        )
        return _storable(value)
    except RecursionError:
        raise ValueError("the JSON is nested too deeply") from None


def read_error_text(content: bytes, body: object, *, secrets: Iterable[str]) -> str:
    """Return the error text: StackStorm's faultstring, else the start of the page.

    Strips tags, because nginx and gunicorn respond with HTML, and masks ``secrets``.
    """
    if isinstance(body, dict) and isinstance(body.get("faultstring"), str):
        return shown(_USER_ROW.sub(r'"\1"', body["faultstring"]), secrets=secrets)
    text = mask(content.decode("utf-8", errors="replace"), secrets)[:_MAX_PAGE]
    return shown(html.unescape(_MARKUP.sub(" ", text)), secrets=secrets)


def read_retry_after(value: str, *, date: str) -> float | None:
    """Return the seconds of a Retry-After header, 0 to MAX_RETRY_AFTER; None if unreadable.

    ``value``: seconds or an HTTP date. A date is compared with ``date``, the response's Date
    header, because our clock may differ.
    """
    text = value.strip()
    if text.isdecimal():
        # Python refuses to parse very long integers.
        seconds = float(text) if len(text) < 10 else MAX_RETRY_AFTER
    else:
        until, now = _http_date(text), _http_date(date) or datetime.now(UTC)
        if until is None:
            return None
        seconds = (until - now).total_seconds()
    return min(max(seconds, 0.0), MAX_RETRY_AFTER)


def _http_date(text: str) -> datetime | None:
    try:
        found = parsedate_to_datetime(text)
    except ValueError:
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def shown(text: str, *, secrets: Iterable[str]) -> str:
    """Return ``text`` on one line, masked and short enough for an error message."""
    # Masked before it is cut: half a key is a leak too.
    line = " ".join(mask(text, secrets).split())
    return line if len(line) <= MAX_ERROR_TEXT else f"{line[:MAX_ERROR_TEXT]}…"


def mask(text: str, secrets: Iterable[str]) -> str:
    """Replace every occurrence of each secret in ``text``."""
    for secret in secrets:
        text = text.replace(secret, MASK) if secret else text
    return text


def _float(text: str) -> float | str:
    number = float(text)
    return number if math.isfinite(number) else text


def _integer(text: str) -> int | str:
    return int(text) if len(text) <= _MAX_INTEGER_DIGITS else text


def _storable(value: object) -> object:
    match value:
        case str():
            return _LONE_SURROGATE.sub("\ufffd", value)
        case list():
            return [_storable(item) for item in value]
        case dict():
            return {_storable(key): _storable(item) for key, item in value.items()}
        case _:
            return value
