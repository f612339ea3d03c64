"""Read what StackStorm answers: JSON that can be stored, words that can be shown."""

import html
import json
import math
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

MASK = "********"
MAX_WORDS = 500  # characters of an error text
MAX_RETRY_AFTER = 300.0  # seconds; a longer Retry-After is cut to this

_MAX_PAGE = 20_000  # characters of a page in which its text is looked for

# Python refuses to read longer integers from text (sys.get_int_max_str_digits).
_MAX_INTEGER_DIGITS = 4300
_LONE_SURROGATE = re.compile("[\ud800-\udfff]")
# The head of a page only repeats, as its title, what the body says.
# StackStorm writes a row of its database where a user's name is meant.
_USER_ROW = re.compile(r'"?UserDB\([^()]*?\bname="([^"]*)"[^()]*\)"?')
_MARKUP = re.compile(r"<(head|style|script)\b.*?</\1>|<[^>]*>", re.DOTALL | re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer. ``body``: its JSON, None when it is none. ``words``: its error text.

    ``location``, ``date``: the headers of these names, empty without. Neither they nor the
    words hold a secret of ours. ``retry_after``: seconds of the header Retry-After, None without.
    """

    status: int
    words: str
    location: str
    date: str
    body: object = field(repr=False)
    retry_after: float | None = None


def read_json(content: bytes) -> object:
    """Return the JSON value that ``content`` holds, such that any database can store it.

    StackStorm passes on what actions print. NaN, the infinities, numbers beyond a float and
    integers too long to read become their text; lone surrogates become U+FFFD.
    Raises ValueError when ``content`` is no JSON, or is nested deeper than Python can follow.
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


def read_words(content: bytes, body: object, *, secrets: Iterable[str]) -> str:
    """Return the answer's error text: StackStorm's faultstring, else the start of its page.

    Tags are cut out of pages (nginx and gunicorn answer in HTML), ``secrets`` are masked.
    """
    if isinstance(body, dict) and isinstance(body.get("faultstring"), str):
        return shown(_USER_ROW.sub(r'"\1"', body["faultstring"]), secrets=secrets)
    text = mask(content.decode("utf-8", errors="replace"), secrets)[:_MAX_PAGE]
    return shown(html.unescape(_MARKUP.sub(" ", text)), secrets=secrets)


def read_retry_after(value: str, *, date: str) -> float | None:
    """Return the seconds that a Retry-After header asks for, 0 to MAX_RETRY_AFTER.

    ``value``: seconds or an HTTP date, which is compared with ``date``, the answer's own Date
    header, because our clock may differ. None for an empty or unreadable value.
    """
    text = value.strip()
    if text.isdecimal():
        # By its length first: Python refuses to read very long integers.
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
    return line if len(line) <= MAX_WORDS else f"{line[:MAX_WORDS]}…"


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
