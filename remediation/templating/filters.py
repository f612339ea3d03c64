"""The filters a template may use: Jinja's harmless ones, some of them bounded, and our own.

Left out of Jinja's: what reaches attributes (attr), what is random, what can be made to build
huge texts by a number in a label (center, indent, format and the like), and what is HTML's alone.
"""

import json
import re
from collections.abc import Callable, Iterable

from jinja2 import Environment, Undefined, pass_environment
from jinja2 import filters as jinja_filters

from remediation.templating.errors import Refused
from remediation.templating.values import ShellWord, bounded, kind, plain

PRECISION_LIMIT = 30  # digits

HARMLESS = (
    *("abs", "float", "int", "max", "min", "sum", "filesizeformat"),
    *("capitalize", "lower", "upper", "title", "trim", "truncate", "string", "wordcount"),
    *("e", "escape", "striptags", "urlencode"),
    *("count", "first", "last", "length", "list", "reverse", "sort", "unique"),
    *("d", "default", "dictsort", "groupby", "items", "map"),
    *("reject", "rejectattr", "select", "selectattr"),
)

ADDRESS = re.compile(
    r"(?:[A-Za-z][A-Za-z0-9+.-]*://)?"
    r"(?:[^/?#@]*@)?"
    r"(?:\[(?P<ipv6>[^\[\]]*)\]|(?P<name>[^/?#:\[\]]*))"
    r"(?::[0-9]*)?"
    r"(?:[/?#].*)?",
    re.DOTALL,
)


def quote(value: object) -> ShellWord:
    """Return ``value`` as one word of a POSIX shell.

    Always in quotes, unlike shlex.quote: a bare ``2`` in ``echo {{ x | quote }}>log`` would
    redirect, a bare ``A=b`` would assign, a bare ``x`` after ``$HOME`` would name another variable.
    """
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        _refuse_undefined(value)
        raise Refused(f"quote takes text or a number, not what is {kind(value)}")
    text = str(value)
    if "\0" in text:
        raise Refused("quote takes no null byte: no shell word can hold one")
    return ShellWord("'" + text.replace("'", "'\"'\"'") + "'")


def host(value: object) -> str:
    """Return the host of an instance label: without scheme, user, port and path.

    ``server-01:9100`` -> ``server-01``, ``[::1]:9100`` -> ``::1``; a bare IPv6 address stays.
    Refuses a text without a host.
    """
    if not isinstance(value, str):
        _refuse_undefined(value)
        raise Refused(f"host takes text, not what is {kind(value)}")
    found = ADDRESS.fullmatch(value)
    text = value if found is None else found["ipv6"] or found["name"] or ""
    if not text.strip():
        raise Refused("host finds no host in the text")
    return text


def to_json(value: object) -> str:
    """Return ``value`` as JSON text, without the escapes that Jinja adds for HTML."""
    return json.dumps(plain(value), ensure_ascii=False, default=str)


@pass_environment
def join(
    environment: Environment,
    value: Iterable[object],
    separator: str = "",
    attribute: str | int | None = None,
) -> str:
    """Join the texts of a list, as Jinja does, up to the length that can be sent."""
    member = jinja_filters.make_attrgetter(environment, attribute)
    texts = [str(member(item) if attribute is not None else item) for item in value]
    bounded(sum(map(len, texts)) + len(separator) * len(texts))
    return separator.join(texts)


def replace(value: object, old: str, new: str, count: int = -1) -> str:
    """Replace text, as Jinja does, up to the length that can be sent."""
    text = str(value)
    bounded(len(text) + text.count(old) * len(new))
    return text.replace(old, new, count)


def rounded(value: float, precision: int = 0, method: str = "common") -> float:
    """Round a number, as Jinja does, to a sane number of digits."""
    if abs(precision) > PRECISION_LIMIT:
        raise Refused(f"round takes at most {PRECISION_LIMIT} digits")
    if method not in ("common", "ceil", "floor"):
        raise Refused("round's method is common, ceil or floor")
    return jinja_filters.do_round(value, precision, method)  # type: ignore[arg-type]  # checked above


def _refuse_undefined(value: object) -> None:
    if isinstance(value, Undefined):
        str(value)  # raises what it has to say: the path that is not defined


FILTERS: dict[str, Callable[..., object]] = {
    name: jinja_filters.FILTERS[name] for name in HARMLESS
} | {
    "host": host,
    "join": join,
    "quote": quote,
    "replace": replace,
    "round": rounded,
    "tojson": to_json,
}
