"""Actions registered in StackStorm and their parameters."""

from collections.abc import Mapping
from dataclasses import dataclass

from remediation.stackstorm.typed_json import as_list, as_object, as_text


@dataclass(frozen=True, slots=True)
class ParameterInfo:
    """One parameter of an action. ``type``: JSON schema type, several joined by ``|``, or empty.

    ``secret``: the value, or part of it, must not be shown. ``immutable``: StackStorm accepts no
    value for it. ``default``: any JSON, or None.
    """

    type: str
    required: bool
    secret: bool
    immutable: bool
    default: object = None


@dataclass(frozen=True, slots=True)
class ActionInfo:
    """A registered action. ``parameters``: those of the action and its runner, by name."""

    ref: str
    pack: str
    description: str
    runner_name: str
    enabled: bool
    parameters: Mapping[str, ParameterInfo]


def read_action(value: object) -> ActionInfo:
    """Read the action of an overview; raise ValueError if it is not one."""
    body = as_object(value)
    if not as_text(body.get("ref")):
        raise ValueError("the response has no action")
    return ActionInfo(
        ref=as_text(body.get("ref")),
        pack=as_text(body.get("pack")),
        description=as_text(body.get("description")),
        runner_name=as_text(body.get("runner_type")),
        enabled=body.get("enabled") is True,
        parameters={
            name: _parameter(as_object(schema))
            for name, schema in as_object(body.get("parameters")).items()
        },
    )


def read_action_of_execution(action: object, runner: object) -> ActionInfo | None:
    """Return the action that an execution was created from; None if the execution omits it.

    ``action``, ``runner``: of a complete execution. An action overrides single attributes of its
    runner's parameters.
    """
    shown, name = as_object(action), as_text(as_object(runner).get("name"))
    if not as_text(shown.get("ref")) or not name:
        return None
    merged = {
        key: dict(as_object(schema))
        for key, schema in as_object(as_object(runner).get("runner_parameters")).items()
    }
    for key, schema in as_object(shown.get("parameters")).items():
        merged[key] = merged.get(key, {}) | dict(as_object(schema))
    return read_action({**shown, "runner_type": name, "parameters": merged})


def read_refs(value: object) -> list[str]:
    """Return the refs of a list of actions; raise ValueError if it is not a list."""
    if not isinstance(value, list):
        raise ValueError("the response is not a list")
    return sorted(filter(None, (as_text(as_object(row).get("ref")) for row in value)))


def _parameter(schema: Mapping[str, object]) -> ParameterInfo:
    types = as_list(schema.get("type")) or [schema.get("type")]
    return ParameterInfo(
        type="|".join(filter(None, map(as_text, types))),
        required=schema.get("required") is True,
        secret=_holds_secret(schema),
        immutable=schema.get("immutable") is True,
        default=schema.get("default"),
    )


def _holds_secret(schema: Mapping[str, object]) -> bool:
    """Return whether the value, a property of it or an item of it is secret."""
    parts = [*as_object(schema.get("properties")).values(), schema.get("items")]
    return schema.get("secret") is True or any(
        _holds_secret(as_object(part)) for part in parts if part
    )
