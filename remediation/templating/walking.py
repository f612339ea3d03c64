"""The way through parameters: objects and lists of any depth, templates at their ends."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from remediation.templating import escaping
from remediation.templating.errors import naming
from remediation.templating.rules import RULES

OPENERS = ("{{", "{%", "{#")


@dataclass(frozen=True, slots=True)
class Spot:
    """Where a value stands: its path, the rule of a parameter around it, and whether nested.

    ``parameter``: the name of the outermost parameter.
    """

    field: str
    rule: str | None
    parameter: str
    is_nested: bool = False

    @classmethod
    def of(cls, name: str) -> "Spot":
        """Return the spot of the parameter ``name``."""
        return cls(name, name if name in RULES else None, name)

    def below(self, key: str | int) -> "Spot":
        """Return the spot of a member."""
        if isinstance(key, int):
            return Spot(f"{self.field}[{key}]", self.rule, self.parameter, is_nested=True)
        rule = key if key in RULES else self.rule
        return Spot(f"{self.field}.{key}", rule, self.parameter, is_nested=True)


Leaf = Callable[[object, Spot], object]


def each_value(
    values: Mapping[str, object], leaf: Leaf, *, any_key: bool = False
) -> dict[str, object]:
    """Return ``values`` with ``leaf`` applied to everything that is neither object nor list.

    ``any_key``: accept keys that StackStorm would render, since it will not see them.
    """
    return {name: _parameter(name, values[name], leaf, any_key) for name in values}


def templates(values: Mapping[str, object]) -> list[tuple[str, Spot]]:
    """Return the texts in ``values`` that Jinja has something to do with, and where they stand."""
    found: list[tuple[str, Spot]] = []

    def collect(value: object, spot: Spot) -> None:
        if isinstance(value, str) and is_template(value):
            found.append((value, spot))

    each_value(values, collect, any_key=True)
    return found


def is_template(text: str) -> bool:
    """Tell whether Jinja has something to do with ``text``."""
    return any(opener in text for opener in OPENERS)


def _parameter(name: str, value: object, leaf: Leaf, any_key: bool) -> object:
    with naming(name):
        if not any_key:
            escaping.refuse_key(name, name)
        return _walk(value, Spot.of(name), leaf, any_key)


def _walk(value: object, spot: Spot, leaf: Leaf, any_key: bool) -> object:
    if isinstance(value, list):
        return [_walk(item, spot.below(index), leaf, any_key) for index, item in enumerate(value)]
    if not isinstance(value, dict):
        return leaf(value, spot)
    if not any_key:
        for key in value:
            escaping.refuse_key(key, spot.field)
    return {key: _walk(item, spot.below(key), leaf, any_key) for key, item in value.items()}
