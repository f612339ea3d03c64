"""The command that an action builds from its parameters: shown in the result, never executed."""

from collections.abc import Mapping
from typing import Any

from jinja2 import TemplateError

from .catalog import Action
from .rendering import ENVIRONMENT

CMD = "cmd"
DEPTH_MAX = 5  # defaults that read other defaults


def build_command(action: Action, parameters: Mapping[str, Any]) -> str:
    """Return the command that StackStorm would run; '' where the action builds none.

    ``parameters``: as they were sent, rendered and cast.
    """
    template = action.parameters.get(CMD, {}).get("default")
    if parameters.get(CMD) is not None or not isinstance(template, str) or "{{" not in template:
        return ""
    values = {name: schema.get("default") for name, schema in action.parameters.items()}
    values |= {name: value for name, value in parameters.items() if value is not None}
    sent = {name for name, value in parameters.items() if value is not None}
    for _time in range(DEPTH_MAX):
        # What was sent is not rendered again, whatever it looks like.
        values = {
            name: value if name in sent else _rendered(value, values)
            for name, value in values.items()
        }
    return str(values[CMD])


def with_command(result: Any, command: str) -> Any:
    """Return a shell's result that shows the command, of one host or of several."""
    if not command or not isinstance(result, Mapping):
        return result
    if "stdout" in result:
        return {**result, "stdout": f"{result['stdout']}; it would have run: {command}"}
    return {host: with_command(one, command) for host, one in result.items()}


def _rendered(value: Any, values: Mapping[str, Any]) -> Any:
    if not isinstance(value, str) or ("{{" not in value and "{%" not in value):
        return value
    try:
        return ENVIRONMENT.from_string(value).render(values)
    except TemplateError:
        return value
