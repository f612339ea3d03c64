"""Read what StackStorm answers: JSON that can be stored, words that can be shown."""

import html
import json
import math
import re
from collections.abc import Iterable
from dataclasses import dataclass, field

MASK = "********"
MAX_WORDS = 500  # characters of an error text

_MAX_PAGE = 20_000  # characters of a page in which its text is looked for

# Python refuses to read longer integers from text (sys.get_int_max_str_digits).
_MAX_INTEGER_DIGITS = 4300
_LONE_SURROGATE = re.compile("[\ud800-\udfff]")
# The head of a page only repeats, as its title, what the body says.
_MARKUP = re.compile(r"<(head|style|script)\b.*?</\1>|<[^>]*>", re.DOTALL | re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer. ``body``: its JSON, None when it is none. ``words``: its error text.

    ``location``, ``date``: the headers of these names, empty without. Neither they nor the
    words hold a secret of ours.
    """

    status: int
    words: str
    location: str
    date: str
    body: object = field(repr=False)


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
        return shown(body["faultstring"], secrets=secrets)
    text = mask(content.decode("utf-8", errors="replace"), secrets)[:_MAX_PAGE]
    return shown(html.unescape(_MARKUP.sub(" ", text)), secrets=secrets)


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
