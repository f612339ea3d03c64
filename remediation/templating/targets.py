"""Parameters that name what an action works on: a blank one never leaves PoundCake.

An empty target is seldom nothing to StackStorm's actions: it is everything, or the machine itself.
"""

import re
from collections.abc import Iterable, Mapping
from urllib.parse import urlsplit

from remediation.templating.errors import TemplateError
from remediation.templating.values import DatastoreReference, DatastoreText

TARGETS = ("hosts", "host", "url")
BLANK = re.compile(r"[\s,]*")


def check_targets(values: Mapping[str, object], names: Iterable[str]) -> None:
    """Refuse a blank value of one of these parameters, or a URL without a host.

    Raises TemplateError.
    """
    for name in names:
        if name in values and is_blank(values[name]):
            raise TemplateError(name, "is empty: it has to name the target of the action")


def is_blank(value: object) -> bool:
    """Return whether a value names no target; what StackStorm fills in counts as one."""
    if isinstance(value, list):
        return not value or any(map(is_blank, value))
    if isinstance(value, dict):
        return not value
    if isinstance(value, DatastoreReference | DatastoreText):
        return False
    text = "" if value is None else str(value)
    return BLANK.fullmatch(text) is not None or _lacks_host(text)


def _lacks_host(text: str) -> bool:
    if "://" not in text:
        return False
    try:
        return BLANK.fullmatch(urlsplit(text.strip()).hostname or "") is not None
    except ValueError:
        # No URL that anybody can read; the action refuses it with its own words.
        return False
