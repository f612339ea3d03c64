"""Refuse empty values in parameters that name the target of an action.

StackStorm's actions rarely treat an empty target as none: they act on everything, or on their own
machine.
"""

import re
from collections.abc import Iterable, Mapping
from urllib.parse import urlsplit

from remediation.templating.errors import TemplateError
from remediation.templating.values import DatastoreReference, DatastoreText

TARGET_PARAMETERS = ("hosts", "host", "url")
BLANK = re.compile(r"[\s,]*")


def check_targets(values: Mapping[str, object], names: Iterable[str]) -> None:
    """Refuse a blank value of these parameters, or a URL without a host. Raises TemplateError."""
    for name in names:
        if name in values and is_blank(values[name]):
            raise TemplateError(name, "is empty: it must name the target of the action")


def is_blank(value: object) -> bool:
    """Return whether a value names no target. A datastore reference names one."""
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
        # An invalid URL: the action itself refuses it.
        return False
