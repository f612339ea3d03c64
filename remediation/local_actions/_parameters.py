"""What a local action takes: named parameters, each of a type that checks and converts."""

import re
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass

MAX_HOST_LENGTH = 253  # characters, RFC 1035


class ParameterType(ABC):
    """What a value has to be. ``str()`` completes the sentence "it must be ..."."""

    @abstractmethod
    def convert(self, value: object) -> object:
        """Return the value as the action gets it; raise ``ValueError`` when it does not fit."""


@dataclass(frozen=True, slots=True)
class Text(ParameterType):
    """Any text."""

    def __str__(self) -> str:
        return "text"

    def convert(self, value: object) -> str:
        """Refuse what is no string."""
        if not isinstance(value, str):
            raise ValueError
        return value


@dataclass(frozen=True, slots=True)
class Choice(ParameterType):
    """One word of a few."""

    words: tuple[str, ...]

    def __str__(self) -> str:
        return f"one of {', '.join(self.words)}"

    def convert(self, value: object) -> str:
        """Refuse what is not listed, as written."""
        if not isinstance(value, str) or value not in self.words:
            raise ValueError
        return value


@dataclass(frozen=True, slots=True)
class Integer(ParameterType):
    """A whole number. Its digits as text are as good: every label of an alert is text."""

    minimum: int
    maximum: int

    def __str__(self) -> str:
        return f"a whole number from {self.minimum} to {self.maximum}"

    def convert(self, value: object) -> int:
        """Refuse fractions, booleans and what is out of range."""
        if isinstance(value, str) and re.fullmatch(r"-?[0-9]{1,18}", value):
            value = int(value)
        if not isinstance(value, int) or isinstance(value, bool):
            raise ValueError
        if not self.minimum <= value <= self.maximum:
            raise ValueError
        return value


@dataclass(frozen=True, slots=True)
class Number(ParameterType):
    """A finite number. Its digits as text are as good: every label of an alert is text."""

    minimum: float
    maximum: float

    def __str__(self) -> str:
        return f"a number from {self.minimum:g} to {self.maximum:g}"

    def convert(self, value: object) -> float:
        """Refuse booleans, NaN and what is out of range."""
        if not isinstance(value, int | float | str) or isinstance(value, bool):
            raise ValueError
        number = float(value)
        if not self.minimum <= number <= self.maximum:
            raise ValueError
        return number


@dataclass(frozen=True, slots=True)
class Host(ParameterType):
    """A host name or an IP address, not yet looked up."""

    def __str__(self) -> str:
        return (
            "a host name or an IP address without port, spaces or control characters, "
            f"at most {MAX_HOST_LENGTH} characters"
        )

    def convert(self, value: object) -> str:
        """Refuse what no resolver can be asked for."""
        if not isinstance(value, str) or not 0 < len(value) <= MAX_HOST_LENGTH:
            raise ValueError
        if " " in value or not value.isprintable():
            raise ValueError
        # The socket module does this before it asks the resolver. Its UnicodeError is a ValueError.
        value.encode("idna")
        return value


@dataclass(frozen=True, slots=True)
class Object(ParameterType):
    """A JSON object."""

    def __str__(self) -> str:
        return "an object"

    def convert(self, value: object) -> dict[str, object]:
        """Refuse what is no object."""
        if not isinstance(value, Mapping):
            raise ValueError
        return dict(value)


@dataclass(frozen=True, slots=True)
class AnyValue(ParameterType):
    """Anything that JSON can hold."""

    def __str__(self) -> str:
        return "any JSON value"

    def convert(self, value: object) -> object:
        """Pass the value on."""
        return value


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter of a local action. One that is not given, or null, has its ``default``."""

    type: ParameterType
    description: str
    required: bool = False
    default: object = None


def convert(
    declared: Mapping[str, Parameter], given: Mapping[str, object]
) -> tuple[dict[str, object], dict[str, str]]:
    """Check what was given against what is declared.

    Returns the values by parameter name, defaults included, and a sentence per parameter that is
    wrong. The sentences never repeat a value: it may be secret.
    """
    taken = ", ".join(sorted(declared))
    errors = dict.fromkeys(given.keys() - declared, f"is not known; the action takes {taken}")
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
