"""The values that templates produce: JSON, and references to StackStorm's datastore."""

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from jinja2 import Undefined

from remediation.templating.errors import Refused

TEXT_LIMIT = 1_000_000  # characters per value; StackStorm's nginx accepts 1 MB per request
DEPTH_LIMIT = 50  # levels

DATASTORE_ADVICE = (
    "st2kv cannot be combined with other expressions: write {{ st2kv.system.KEY }} "
    "or {{ st2kv.system.KEY | decrypt_kv }}"
)


class QuotedText(str):
    """Text that the `quote` filter has quoted as one shell argument."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class DatastoreReference:
    """A reference to a value in StackStorm's datastore, which only StackStorm reads.

    ``path``: the text between the braces, such as ``st2kv.system.key | decrypt_kv``. It comes from
    a template's source, never from a value, so no alert can create one.
    """

    path: str

    def __str__(self) -> str:
        raise Refused(DATASTORE_ADVICE)

    @property
    def template(self) -> str:
        """Return the text that StackStorm renders."""
        return f"{{{{ {self.path} }}}}"


Part = str | DatastoreReference


@dataclass(frozen=True, slots=True)
class DatastoreText:
    """Rendered text with datastore references in it, in order. Adjacent texts are merged."""

    parts: tuple[Part, ...]


class StepParameters(dict[str, object]):
    """A step's rendered parameters, with a record of those that data flowed into.

    ``from_data``: names of the parameters whose templates read the alert or an earlier result. A
    copy without this attribute counts as data throughout. ``commands``: by field, the parts of each
    text that the command rule was applied to.
    """

    __slots__ = ("commands", "from_data")

    def __init__(
        self,
        values: Mapping[str, object],
        from_data: Iterable[str],
        commands: "Mapping[str, tuple[Part, ...]] | None" = None,
    ) -> None:
        super().__init__(values)
        self.from_data = frozenset(from_data)
        self.commands = commands or {}


def type_name(value: object) -> str:
    """Return the name of the value's JSON type, for error messages."""
    if value is None:
        return "none"
    names = {str: "a string", bool: "a boolean", int: "a number", float: "a number"}
    containers = {list: "a list", tuple: "a list", dict: "an object"}
    for known, name in (names | containers).items():
        if isinstance(value, known):
            return name
    return f"of type {type(value).__name__}"


def to_json_value(value: object, *, depth: int = 0) -> object:
    """Return ``value`` as JSON of exact types, with datastore references unchanged.

    Raises Refused for other types, and the error of an undefined variable.
    """
    if depth > DEPTH_LIMIT:
        raise Refused(f"is nested more than {DEPTH_LIMIT} levels deep")
    if isinstance(value, dict):
        return {_key(key): to_json_value(item, depth=depth + 1) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [to_json_value(item, depth=depth + 1) for item in value]
    if isinstance(value, str | Undefined):
        return str(value)
    return _scalar(value)


def _key(key: object) -> str:
    if not isinstance(key, str):
        raise Refused(f"has an object key that is {type_name(key)}; keys must be strings")
    return str(key)


def _scalar(value: object) -> object:
    if value is None or isinstance(value, bool | int | DatastoreReference):
        return value
    if not isinstance(value, float):
        raise Refused(f"is {type_name(value)}, which is not JSON; use a list or a string")
    if not math.isfinite(value):
        raise Refused("is not a finite number")
    return value


def check_length(length: int) -> None:
    """Refuse a text or list of ``length`` before it is built."""
    if length > TEXT_LIMIT:
        raise Refused(f"is longer than {TEXT_LIMIT} characters")


def encoded_size(value: object) -> int:
    """Return the size in bytes of a JSON value, or of a part of a text."""
    if isinstance(value, str):
        return len(value.encode("utf-8", "surrogatepass"))
    if isinstance(value, dict | list):
        return len(json.dumps(value, default=lambda reference: reference.path))
    return 1


def check_value_length(value: object) -> object:
    """Return the JSON value; refuse it if it is too long to be sent."""
    if isinstance(value, str):
        check_length(len(value))
        return str(value)
    if isinstance(value, dict | list):
        check_length(len(json.dumps(value, default=lambda reference: reference.path)))
    return value
