"""Validate the body of a POST to /executions, with StackStorm's errors and order of checks.

Only the first error is reported. The order is: types of the body's fields, the action, Jinja and
casts, whether the action is enabled, the parameters' schema, immutable parameters, trace context.
"""

import ast
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from . import rendering
from .catalog import Action, Catalog


@dataclass(frozen=True, slots=True)
class ExecutionRequest:
    """A valid POST, with rendered and cast parameters and the complete context."""

    action: Action
    parameters: Mapping[str, Any]
    context: Mapping[str, Any]
    notify: Mapping[str, Any] = field(default_factory=dict)
    delay_milliseconds: int = 0


class FaultError(Exception):
    """StackStorm's response is ``status`` with ``faultstring``.

    ``failed_request``: the request that it nevertheless stores, as a failed execution.
    """

    def __init__(
        self, status: int, faultstring: str, failed_request: ExecutionRequest | None = None
    ) -> None:
        super().__init__(faultstring)
        self.status = status
        self.faultstring = faultstring
        self.failed_request = failed_request


TYPES: dict[str, type | tuple[type, ...]] = {
    "string": str,
    "integer": int,
    "number": (int, float),
    "boolean": bool,
    "array": list,
    "object": dict,
}
TOP_LEVEL = {
    "action": "string",
    "parameters": "object",
    "context": "object",
    "notify": "object",
    "delay": "integer",
    "user": "string",
}


def parse_body(body: bytes, content_type: str) -> dict[str, Any]:
    """Return the JSON object of a request; an empty body is an empty object.

    Raises FaultError.
    """
    media_type = content_type.partition(";")[0].strip()
    if media_type not in ("", "application/json"):
        raise FaultError(
            400, f'Failed to parse request body: Unsupported Content-Type: "{content_type}"'
        )
    if not body:
        return {}
    try:
        parsed = json.loads(body, parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        raise FaultError(400, f"Failed to parse request body: {error}") from error
    if not isinstance(parsed, dict):
        raise FaultError(500, "Internal Server Error")
    return parsed


def _no_number(text: str) -> None:
    raise ValueError(f"{text} is no number in JSON")


def validate_request(
    body: Mapping[str, Any],
    *,
    user: str,
    header_context: str,
    catalog: Catalog,
    datastore: Mapping[str, str],
) -> ExecutionRequest:
    """Return the validated request; ``header_context`` is the St2-Context header.

    Raises FaultError.
    """
    _check_top_level(body)
    action = catalog.actions.get(body["action"])
    if action is None:
        raise FaultError(400, f'Action "{body["action"]}" cannot be found.')
    context = {
        **body.get("context", {}),
        "user": body.get("user", user),
        "pack": action.pack,
        **_header_context(header_context),
    }
    request = ExecutionRequest(
        action,
        body.get("parameters", {}),
        context,
        body.get("notify", {}),
        body.get("delay", 0),
    )
    parameters = _live_parameters(request, datastore)
    if not action.is_enabled:
        raise FaultError(400, f'Unable to execute. Action "{action.ref}" is disabled.')
    check_parameters(action, parameters)
    _check_trace_context(context)
    return ExecutionRequest(action, parameters, context, request.notify, request.delay_milliseconds)


def _check_top_level(body: Mapping[str, Any]) -> None:
    if "action" not in body:
        raise FaultError(400, "'action' is a required property")
    for name, wanted in TOP_LEVEL.items():
        if name in body and not _is_type(body[name], wanted):
            raise FaultError(400, f"{body[name]!r} is not of type {wanted!r}")


def _header_context(text: str) -> dict[str, Any]:
    try:
        context = json.loads(text) if text else {}
    except ValueError:
        context = None
    if not isinstance(context, dict):
        raise FaultError(400, "Unable to convert st2-context from the headers into JSON.")
    return context


def _live_parameters(request: ExecutionRequest, datastore: Mapping[str, str]) -> dict[str, Any]:
    schemas = request.action.parameters
    try:
        rendered = rendering.render(
            request.parameters, schemas, context=request.context, datastore=datastore
        )
    except rendering.RenderError as error:
        raise FaultError(400, str(error), failed_request=request) from error
    return {name: _cast(value, schemas.get(name, {})) for name, value in rendered.items()}


def _cast(value: Any, schema: Mapping[str, Any]) -> Any:
    cast = CASTS.get(schema.get("type", ""))
    if value is None or cast is None:
        return value
    try:
        return cast(value)
    except ValueError as error:
        raise FaultError(400, str(error)) from error
    except (TypeError, SyntaxError, ArithmeticError, MemoryError, RecursionError) as error:
        raise FaultError(500, str(error)) from error


def _cast_string(value: Any) -> Any:
    if not isinstance(value, str):
        kind = type(value).__name__
        raise ValueError(f'Value "{value}" must either be a string or None. Got "{kind}".')
    return value


def _cast_boolean(value: Any) -> Any:
    return ast.literal_eval(value.capitalize()) if isinstance(value, str) else value


def _cast_complex(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except ValueError:
        return ast.literal_eval(value)


CASTS: dict[str, Callable[[Any], Any]] = {
    "string": _cast_string,
    "integer": int,
    "number": float,
    "boolean": _cast_boolean,
    "array": _cast_complex,
    "object": _cast_complex,
}


def check_parameters(action: Action, parameters: Mapping[str, Any]) -> None:
    """Check cast ``parameters`` against the merged schema of the action and its runner.

    An unknown name is reported first, because StackStorm reports the error nearest to the root
    (jsonschema's best_match). Raises FaultError.
    """
    schemas = action.parameters
    unknown = [name for name in parameters if name not in schemas]
    if unknown:
        names = ", ".join(repr(name) for name in unknown)
        verb = "was" if len(unknown) == 1 else "were"
        raise FaultError(400, f"Additional properties are not allowed ({names} {verb} unexpected)")
    for name, schema in schemas.items():
        value = parameters.get(name)
        if value is None:
            value = schema.get("default")
        if name in parameters or value is not None:
            _check_value(value, schema)
        elif schema.get("required"):
            raise FaultError(400, f"{name!r} is a required property")
    immutable = [name for name in parameters if schemas[name].get("immutable")]
    if immutable:
        raise FaultError(400, f"Override of immutable parameter(s) {immutable} is unsupported.")


def _check_value(value: Any, schema: Mapping[str, Any]) -> None:
    wanted = schema.get("type", "")
    if value is None and not schema.get("required"):
        return
    if wanted and not _is_type(value, wanted):
        raise FaultError(400, f"{value!r} is not of type {wanted!r}")
    if "enum" in schema and value not in schema["enum"]:
        raise FaultError(400, f"{value!r} is not one of {schema['enum']!r}")
    if "minimum" in schema and value < schema["minimum"]:
        raise FaultError(400, f"{value} is less than the minimum of {schema['minimum']}")
    if "maximum" in schema and value > schema["maximum"]:
        raise FaultError(400, f"{value} is greater than the maximum of {schema['maximum']}")
    if isinstance(value, list):
        for item in value:
            _check_value(item, schema.get("items", {}))


def _is_type(value: Any, wanted: str) -> bool:
    if isinstance(value, bool):
        return wanted == "boolean"
    return isinstance(value, TYPES[wanted])


def _check_trace_context(context: Mapping[str, Any]) -> None:
    if "trace_context" not in context:
        return
    trace = context["trace_context"]
    if not isinstance(trace, Mapping):
        kind = type(trace).__name__
        raise FaultError(500, f"TraceContext() argument after ** must be a mapping, not {kind}")
    unexpected = [key for key in trace if key not in ("trace_tag", "id_")]
    if unexpected:
        raise FaultError(
            500,
            f"TraceContext.__init__() got an unexpected keyword argument {unexpected[0]!r}",
        )
    if trace.get("id_"):
        known = {"id": trace["id_"]}
        raise FaultError(400, f"Unable to find the TraceDB instance. {known}")
    if not trace.get("trace_tag"):
        raise FaultError(400, "Atleast one of id_ or trace_tag should be specified.")
