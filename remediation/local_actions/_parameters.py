"""The parameters of local actions, and types that validate and convert their values."""

import re
import socket
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, ip_address
from typing import ClassVar

MAX_HOST_LENGTH = 253  # characters, RFC 1035
HOST_SIGNS = re.compile(r"[\s%/\\?#@\[\]]")  # of URLs and of IPv6 zones


class ParameterType(ABC):
    """The type of a parameter. ``str()`` completes the sentence "it must be ...".

    ``destination``: "url", "host" or "port" if it says which server is contacted, else ''. An
    alert's data has limits there; see ``templating.destination_rules``.
    """

    destination: ClassVar[str] = ""

    @abstractmethod
    def convert(self, value: object) -> object:
        """Return the value for the action; raise ``ValueError`` if it is invalid."""


@dataclass(frozen=True, slots=True)
class Text(ParameterType):
    """Any text."""

    def __str__(self) -> str:
        return "text"

    def convert(self, value: object) -> str:
        """Accept only strings."""
        if not isinstance(value, str):
            raise ValueError
        return value


@dataclass(frozen=True, slots=True)
class Choice(ParameterType):
    """One of several strings."""

    choices: tuple[str, ...]

    def __str__(self) -> str:
        return f"one of {', '.join(self.choices)}"

    def convert(self, value: object) -> str:
        """Accept only the listed strings; case matters."""
        if not isinstance(value, str) or value not in self.choices:
            raise ValueError
        return value


@dataclass(frozen=True, slots=True)
class Integer(ParameterType):
    """An integer, or its digits as text, because all labels of an alert are text."""

    minimum: int
    maximum: int

    def __str__(self) -> str:
        return f"an integer from {self.minimum} to {self.maximum}"

    def convert(self, value: object) -> int:
        """Refuse fractions, booleans and numbers out of range."""
        if isinstance(value, str) and re.fullmatch(r"-?[0-9]{1,18}", value):
            value = int(value)
        if not isinstance(value, int) or isinstance(value, bool):
            raise ValueError
        if not self.minimum <= value <= self.maximum:
            raise ValueError
        return value


@dataclass(frozen=True, slots=True)
class Port(Integer):
    """The number of a TCP port."""

    destination: ClassVar[str] = "port"

    minimum: int = 1
    maximum: int = 65_535


@dataclass(frozen=True, slots=True)
class Number(ParameterType):
    """A finite number, or its digits as text, because all labels of an alert are text."""

    minimum: float
    maximum: float

    def __str__(self) -> str:
        return f"a number from {self.minimum:g} to {self.maximum:g}"

    def convert(self, value: object) -> float:
        """Refuse booleans, NaN and numbers out of range."""
        if not isinstance(value, int | float | str) or isinstance(value, bool):
            raise ValueError
        number = float(value)
        if not self.minimum <= number <= self.maximum:
            raise ValueError
        return number


@dataclass(frozen=True, slots=True)
class Host(ParameterType):
    """A host name or an IP address. It is not resolved."""

    destination: ClassVar[str] = "host"

    def __str__(self) -> str:
        return (
            "a host name or an IP address without port, zone, spaces or control characters, "
            f"at most {MAX_HOST_LENGTH} characters, an IPv4 address with four decimal numbers"
        )

    def convert(self, value: object) -> str:
        """Refuse strings that cannot be resolved."""
        if not isinstance(value, str):
            raise ValueError
        canonical_host(value)
        return value


def canonical_host(text: str) -> str:
    """Return a host as lower-case ASCII, an IP address in its shortest form.

    Raises ``ValueError`` for other text, also for the notations of an IPv4 address that programs
    read differently, such as 0177.0.0.1 and 2130706433.
    """
    if not 0 < len(text) <= MAX_HOST_LENGTH or not text.isprintable() or HOST_SIGNS.search(text):
        raise ValueError
    if ":" in text:
        return str(ip_address(text))
    # The socket module encodes names like this. A UnicodeError is a ValueError.
    name = text.encode("idna").decode("ascii").lower().removesuffix(".")
    if not name or not name.isprintable() or HOST_SIGNS.search(name) or ":" in name:
        raise ValueError
    try:
        socket.inet_aton(name)
    except OSError:
        return name
    return str(IPv4Address(name))


@dataclass(frozen=True, slots=True)
class Object(ParameterType):
    """A JSON object."""

    def __str__(self) -> str:
        return "an object"

    def convert(self, value: object) -> dict[str, object]:
        """Accept only objects."""
        if not isinstance(value, Mapping):
            raise ValueError
        return dict(value)


@dataclass(frozen=True, slots=True)
class AnyValue(ParameterType):
    """Any JSON value."""

    def __str__(self) -> str:
        return "any JSON value"

    def convert(self, value: object) -> object:
        """Return the value unchanged."""
        return value


@dataclass(frozen=True, slots=True)
class Parameter:
    """A parameter of a local action. A missing or null value becomes ``default``."""

    type: ParameterType
    description: str
    required: bool = False
    default: object = None


def convert(
    declared: Mapping[str, Parameter], given: Mapping[str, object]
) -> tuple[dict[str, object], dict[str, str]]:
    """Convert the given parameters to the declared types.

    Returns the values, including defaults, and the errors, both by parameter name. An error is a
    predicate, as in "is missing", and never contains the value, which may be secret.
    """
    known = ", ".join(sorted(declared))
    errors = dict.fromkeys(given.keys() - declared, f"is unknown; the action accepts {known}")
    values: dict[str, object] = {}
    for name, parameter in declared.items():
        value = given.get(name)
        if value is None:
            values[name] = parameter.default
            if parameter.required:
                errors[name] = f"is missing; it must be {parameter.type}"
            continue
        try:
            values[name] = parameter.type.convert(value)
        except ValueError:
            errors[name] = f"must be {parameter.type}"
    return values, errors
