"""What comes out of a template: JSON values, and the one thing that StackStorm may fill in."""

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from jinja2 import Undefined

from remediation.templating.errors import Refused

TEXT_LIMIT = 1_000_000  # characters of one rendered value; StackStorm's nginx takes 1 MB a request
DEPTH_LIMIT = 50

DATASTORE_ADVICE = (
    "st2kv stands alone in its braces: {{ st2kv.system.KEY }} "
    "or {{ st2kv.system.KEY | decrypt_kv }}"
)


class ShellWord(str):
    """Mark text that the `quote` filter made one word of a shell."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class DatastoreReference:
    """Stand for a value of StackStorm's datastore, which only StackStorm reads.

    ``path``: what stands between the braces, such as ``st2kv.system.key | decrypt_kv``. It comes
    from a template's own text, never from a value, so no alert can make one.
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
    """Hold rendered text with datastore references in it, in order; no two texts are neighbors."""

    parts: tuple[Part, ...]


class StepParameters(dict[str, object]):
    """Hold a step's rendered parameters and remember which of them alert data flowed into.

    ``from_data``: names of the parameters whose templates read the alert or an earlier result.
    The memory travels with the values, so that no caller can forget it: a copy that lost it is
    treated as data throughout. ``commands``: by name, the parts of the texts that were held to the
    rule of commands, quoted words apart.
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


def kind(value: object) -> str:
    """Name the type of ``value`` in JSON's words."""
    if value is None:
        return "none"
    names = {str: "text", bool: "true or false", int: "a number", float: "a number"}
    containers = {list: "a list", tuple: "a list", dict: "an object"}
    for known, name in (names | containers).items():
        if isinstance(value, known):
            return name
    return f"of type {type(value).__name__}"


def plain(value: object, *, depth: int = 0) -> object:
    """Return ``value`` as plain JSON of exact types; datastore references stay as they are.

    Raises Refused for what JSON cannot hold, and what an undefined variable has to say.
    """
    if depth > DEPTH_LIMIT:
        raise Refused(f"is nested more than {DEPTH_LIMIT} deep")
    if isinstance(value, dict):
        return {_key(key): plain(item, depth=depth + 1) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item, depth=depth + 1) for item in value]
    if isinstance(value, str | Undefined):
        return str(value)
    return _scalar(value)


def _key(key: object) -> str:
    if not isinstance(key, str):
        raise Refused(f"has an object key that is {kind(key)}; keys are text")
    return str(key)


def _scalar(value: object) -> object:
    if value is None or isinstance(value, bool | int | DatastoreReference):
        return value
    if not isinstance(value, float):
        raise Refused(f"is {kind(value)}, which is not JSON; a list or text can be sent")
    if not math.isfinite(value):
        raise Refused("is not a finite number")
    return value


def bounded(length: int) -> None:
    """Refuse a text or list of ``length`` before it is built."""
    if length > TEXT_LIMIT:
        raise Refused(f"is longer than {TEXT_LIMIT} characters")


def size(value: object) -> int:
    """Return how many bytes a plain value or a part of a text takes when it is sent."""
    if isinstance(value, str):
        return len(value.encode("utf-8", "surrogatepass"))
    if isinstance(value, dict | list):
        return len(json.dumps(value, default=lambda reference: reference.path))
    return 1


def bounded_value(value: object) -> object:
    """Return the plain ``value`` unless it is too long to be sent."""
    if isinstance(value, str):
        bounded(len(value))
        return str(value)
    if isinstance(value, dict | list):
        bounded(len(json.dumps(value, default=lambda reference: reference.path)))
    return value
