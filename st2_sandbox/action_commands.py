"""Build the shell command of an action from its parameters, to show it in the result."""

from collections.abc import Mapping
from typing import Any

from jinja2 import TemplateError

from .catalog import Action
from .rendering import ENVIRONMENT

CMD = "cmd"
MAX_DEPTH = 5  # of defaults that refer to other defaults


def build_command(action: Action, parameters: Mapping[str, Any]) -> str:
    """Return the command that StackStorm would run, or '' if the action has no template for one.

    ``parameters``: the sent parameters, rendered and cast.
    """
    template = action.parameters.get(CMD, {}).get("default")
    if parameters.get(CMD) is not None or not isinstance(template, str) or "{{" not in template:
        return ""
    values = {name: schema.get("default") for name, schema in action.parameters.items()}
    values |= {name: value for name, value in parameters.items() if value is not None}
    sent = {name for name, value in parameters.items() if value is not None}
    for _ in range(MAX_DEPTH):
        # Sent values are rendered already: only defaults are rendered here.
        values = {
            name: value if name in sent else _render(value, values)
            for name, value in values.items()
        }
    return str(values[CMD])


def with_command(result: Any, command: str) -> Any:
    """Add the command to the stdout of a shell result, for one host or several."""
    if not command or not isinstance(result, Mapping):
        return result
    if "stdout" in result:
        return {**result, "stdout": f"{result['stdout']}; it would have run: {command}"}
    return {host: with_command(one, command) for host, one in result.items()}


def _render(value: Any, values: Mapping[str, Any]) -> Any:
    if not isinstance(value, str) or ("{{" not in value and "{%" not in value):
        return value
    try:
        return ENVIRONMENT.from_string(value).render(values)
    except TemplateError:
        return value
