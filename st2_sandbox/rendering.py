"""Render parameter values as StackStorm does: every string with Jinja syntax is a template.

This lets a parameter read the datastore, so clients must escape their values, and the sandbox must
show if they do not (post-execution-jinja-*, get-execution-jinja-*).
"""

import json
import re
from collections.abc import Mapping
from graphlib import CycleError, TopologicalSorter
from typing import Any

from jinja2 import StrictUndefined, TemplateError, TemplateSyntaxError, meta
from jinja2.sandbox import ImmutableSandboxedEnvironment


class RenderError(ValueError):
    """StackStorm cannot render a parameter; the text is StackStorm's."""


class KeyValueLookup:
    """StackStorm's datastore in a template: `st2kv.system.NAME`; a missing key is ''."""

    # Jinja's sandbox reads these before a call. Without them __getattr__ would return a lookup.
    unsafe_callable = alters_data = False

    def __init__(self, values: Mapping[str, str], path: str = "") -> None:
        self._values = values
        self._path = path

    def __getattr__(self, name: str) -> "KeyValueLookup":
        if name.startswith("_"):
            raise AttributeError(name)
        return KeyValueLookup(self._values, f"{self._path}.{name}" if self._path else name)

    __getitem__ = __getattr__

    def __call__(self, key: str) -> str:
        """Look up a key by its full name, as workflows do: `st2kv("system.NAME")`."""
        return self._values.get(key, "")

    def __str__(self) -> str:
        """Return the value at this path."""
        return self._values.get(self._path, "")


def _environment() -> ImmutableSandboxedEnvironment:
    # Trim blocks as StackStorm's st2common/util/jinja.py does: the newline after a block and the
    # blanks before it are lost, so an escape must preserve them. Only these of StackStorm's filters
    # exist; a template with another filter is not rendered.
    environment = ImmutableSandboxedEnvironment(
        undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["decrypt_kv"] = str
    environment.filters["to_json_string"] = json.dumps
    environment.filters["to_complex"] = json.dumps
    environment.filters["from_json_string"] = json.loads
    return environment


ENVIRONMENT = _environment()


def render(
    parameters: Mapping[str, Any],
    schemas: Mapping[str, Mapping[str, Any]],
    *,
    context: Mapping[str, Any],
    datastore: Mapping[str, str],
) -> dict[str, Any]:
    """Return ``parameters`` with rendered templates, and with defaults in place of nulls.

    Templates may use each other, the action's defaults, st2kv and action_context. Like StackStorm,
    leave a template with a syntax error unchanged.
    Raises RenderError for a missing name, a cycle or an error in a template.
    """
    values = {name: schema.get("default") for name, schema in schemas.items()}
    for name, value in parameters.items():
        if value is not None or name not in values:
            values[name] = value
    known: dict[str, Any] = {
        "st2kv": KeyValueLookup(datastore),
        "action_context": context,
        "config_context": {},
    }
    needed = {name: _names_in(value) for name, value in values.items()}
    for name in _in_order(needed):
        if name in values:
            known[name] = _rendered(name, values[name], needed[name], known)
        elif name not in known:
            raise RenderError(f'Dependency unsatisfied in variable "{name}"')
    return {name: known[name] for name in parameters}


def render_task(template: Any, inputs: Mapping[str, Any], datastore: Mapping[str, str]) -> Any:
    """Return a task's parameter value, rendered twice with the workflow's inputs.

    Workflows render the values of their inputs again, so an escape in an input is lost.
    """
    known = {"st2kv": KeyValueLookup(datastore), **inputs}
    for _ in range(2):
        if _names_in(template) is not None:
            try:
                template = _rendered("task", template, set(), known)
            except RenderError:
                return template
    return template


def _in_order(needed: Mapping[str, set[str] | None]) -> tuple[str, ...]:
    try:
        return tuple(
            TopologicalSorter({name: names or () for name, names in needed.items()}).static_order()
        )
    except CycleError as error:
        cycle = ", ".join(sorted(set(error.args[1])))
        raise RenderError(
            f"Cyclic dependency found in the following variables: {cycle}. "
            "Likely the variable is referencing itself"
        ) from error


def _names_in(value: Any) -> set[str] | None:
    """Return the names that a template uses, None if the value is not a template."""
    text = str(value) if isinstance(value, str | list | dict) else ""
    if "{{" not in text and "{%" not in text:
        return None
    try:
        return meta.find_undeclared_variables(ENVIRONMENT.parse(text))
    except TemplateSyntaxError:
        return None


def _rendered(name: str, value: Any, names: set[str] | None, known: Mapping[str, Any]) -> Any:
    if names is None:
        return value
    try:
        if isinstance(value, str):
            return ENVIRONMENT.from_string(value).render(known)
        # Objects and arrays are rendered as JSON. A value that is only a name keeps its type.
        text = re.sub(r'"{{([A-z0-9_-]+)}}"', r"{{\1 | to_complex}}", json.dumps(value))
        return json.loads(ENVIRONMENT.from_string(text).render(known))
    except (TemplateError, ArithmeticError, LookupError, TypeError, ValueError) as error:
        raise RenderError(f'Failed to render parameter "{name}": {error}') from error
