"""The filters that templates may use: harmless ones of Jinja, some of them limited, and our own.

Excluded Jinja filters: attribute access (attr), random values, filters that can build huge strings
from a number in a label (center, indent, format and similar), and HTML-only filters.
"""

import json
import re
from collections.abc import Callable, Iterable

from jinja2 import Environment, Undefined, pass_environment
from jinja2 import filters as jinja_filters

from remediation.templating.errors import Refused
from remediation.templating.values import QuotedText, check_length, to_json_value, type_name

PRECISION_LIMIT = 30  # digits

JINJA_FILTERS = (
    *("abs", "float", "int", "max", "min", "sum", "filesizeformat"),
    *("capitalize", "lower", "upper", "title", "trim", "truncate", "string", "wordcount"),
    *("e", "escape", "striptags", "urlencode"),
    *("count", "first", "last", "length", "list", "reverse", "sort", "unique"),
    *("d", "default", "dictsort", "groupby", "items", "map"),
    *("reject", "rejectattr", "select", "selectattr"),
)

HOST_PATTERN = re.compile(
    r"(?:[A-Za-z][A-Za-z0-9+.-]*://)?"
    r"(?:[^/?#@]*@)?"
    r"(?:\[(?P<ipv6>[^\[\]]*)\]|(?P<name>[^/?#:\[\]]*))"
    r"(?::[0-9]*)?"
    r"(?:[/?#].*)?",
    re.DOTALL,
)


def quote(value: object) -> QuotedText:
    """Return ``value`` as one quoted argument for a POSIX shell.

    Quotes are always added, unlike shlex.quote: an unquoted ``2`` in ``echo {{ x | quote }}>log``
    would redirect, ``A=b`` would assign, and ``x`` after ``$HOME`` would extend the variable name.
    """
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        _refuse_undefined(value)
        raise Refused(f"quote accepts a string or a number, not {type_name(value)}")
    text = str(value)
    if "\0" in text:
        raise Refused("quote cannot quote a null byte: shell arguments cannot contain one")
    return QuotedText("'" + text.replace("'", "'\"'\"'") + "'")


def host(value: object) -> str:
    """Return the host of an instance label, without scheme, user, port and path.

    ``server-01:9100`` -> ``server-01``, ``[::1]:9100`` -> ``::1``; a bare IPv6 address is
    unchanged. Refuses text without a host.
    """
    if not isinstance(value, str):
        _refuse_undefined(value)
        raise Refused(f"host accepts a string, not {type_name(value)}")
    found = HOST_PATTERN.fullmatch(value)
    text = value if found is None else found["ipv6"] or found["name"] or ""
    if not text.strip():
        raise Refused("host found no host in the text")
    return text


def to_json(value: object) -> str:
    """Return ``value`` as JSON text, without the HTML escapes that Jinja adds."""
    return json.dumps(to_json_value(value), ensure_ascii=False, default=str)


@pass_environment
def join(
    environment: Environment,
    value: Iterable[object],
    separator: str = "",
    attribute: str | int | None = None,
) -> str:
    """Join a list as Jinja does, up to the maximum length."""
    member = jinja_filters.make_attrgetter(environment, attribute)
    texts = [str(member(item) if attribute is not None else item) for item in value]
    check_length(sum(map(len, texts)) + len(separator) * len(texts))
    return separator.join(texts)


def replace(value: object, old: str, new: str, count: int = -1) -> str:
    """Replace text as Jinja does, up to the maximum length."""
    text = str(value)
    check_length(len(text) + text.count(old) * len(new))
    return text.replace(old, new, count)


def rounded(value: float, precision: int = 0, method: str = "common") -> float:
    """Round a number as Jinja does, to a limited number of digits."""
    if abs(precision) > PRECISION_LIMIT:
        raise Refused(f"round accepts at most {PRECISION_LIMIT} digits")
    if method not in ("common", "ceil", "floor"):
        raise Refused("round's method must be common, ceil or floor")
    return jinja_filters.do_round(value, precision, method)  # type: ignore[arg-type]  # checked above


def _refuse_undefined(value: object) -> None:
    if isinstance(value, Undefined):
        str(value)  # raises the error that names the undefined path


FILTERS: dict[str, Callable[..., object]] = {
    name: jinja_filters.FILTERS[name] for name in JINJA_FILTERS
} | {
    "host": host,
    "join": join,
    "quote": quote,
    "replace": replace,
    "round": rounded,
    "tojson": to_json,
}
