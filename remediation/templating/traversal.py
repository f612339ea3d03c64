"""Traverse parameters: nested objects and lists with templates as leaves."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from remediation.templating import escaping
from remediation.templating.errors import field_errors
from remediation.templating.parameter_rules import RULES

OPENERS = ("{{", "{%", "{#")


@dataclass(frozen=True, slots=True)
class Location:
    """The position of a value in the parameters.

    ``field``: its path. ``rule``: name of the enclosing parameter that has a rule (see
    rules.RULES). ``parameter``: name of the outermost parameter.
    """

    field: str
    rule: str | None
    parameter: str
    is_nested: bool = False

    @classmethod
    def of(cls, name: str) -> "Location":
        """Return the location of the parameter ``name``."""
        return cls(name, name if name in RULES else None, name)

    def below(self, key: str | int) -> "Location":
        """Return the location of a member."""
        if isinstance(key, int):
            return Location(f"{self.field}[{key}]", self.rule, self.parameter, is_nested=True)
        rule = key if key in RULES else self.rule
        return Location(f"{self.field}.{key}", rule, self.parameter, is_nested=True)


Converter = Callable[[object, Location], object]


def map_values(
    values: Mapping[str, object], convert: Converter, *, any_key: bool = False
) -> dict[str, object]:
    """Return ``values`` with ``convert`` applied to every leaf: all except objects and lists.

    ``any_key``: accept keys that StackStorm would render, for values that are not sent to it.
    """
    return {name: _map_parameter(name, values[name], convert, any_key) for name in values}


def find_templates(values: Mapping[str, object]) -> list[tuple[str, Location]]:
    """Return the texts in ``values`` that contain Jinja syntax, with their locations."""
    found: list[tuple[str, Location]] = []

    def collect(value: object, location: Location) -> None:
        if isinstance(value, str) and is_template(value):
            found.append((value, location))

    map_values(values, collect, any_key=True)
    return found


def template_sources(values: object) -> list[str]:
    """Return the texts in ``values`` that contain Jinja syntax. Works at any depth."""
    found: list[str] = []
    pending = [values]
    while pending:
        value = pending.pop()
        if isinstance(value, str):
            if is_template(value):
                found.append(value)
        elif isinstance(value, dict):
            pending += value.values()
        elif isinstance(value, list):
            pending += value
    return found


def is_template(text: str) -> bool:
    """Return whether the text contains Jinja syntax."""
    return "{" in text and any(opener in text for opener in OPENERS)


def _map_parameter(name: str, value: object, convert: Converter, any_key: bool) -> object:
    with field_errors(name):
        if not any_key:
            escaping.refuse_key(name, name)
        return _map(value, Location.of(name), convert, any_key)


def _map(value: object, location: Location, convert: Converter, any_key: bool) -> object:
    if isinstance(value, list):
        return [
            _map(item, location.below(index), convert, any_key) for index, item in enumerate(value)
        ]
    if not isinstance(value, dict):
        return convert(value, location)
    if not any_key:
        for key in value:
            escaping.refuse_key(key, location.field)
    return {key: _map(item, location.below(key), convert, any_key) for key, item in value.items()}
