"""The functions of this package, run in this process if cheap, else in a renderer process.

A renderer process is killed when it exceeds the budget, but a call to it costs more than cheap
templates do.
"""

from collections.abc import Collection, Iterable, Mapping
from typing import Any, cast

from remediation.templating import budget, checking, cost, rendering, secret_flow
from remediation.templating.errors import TemplateError
from remediation.templating.parsed_template import Path
from remediation.templating.renderer_pool import POOL, RendererUnavailable
from remediation.templating.shell_commands import NO_COMMAND, Command
from remediation.templating.target_parameters import TARGET_PARAMETERS
from remediation.templating.traversal import find_templates, template_sources
from remediation.templating.values import StepParameters
from remediation.templating.variables import ROOTS

__all__ = ["RendererUnavailable"]

Secrets = Collection[Path]


def render_step_parameters(
    parameters: Mapping[str, object],
    variables: Mapping[str, object],
    *,
    command: Command = NO_COMMAND,
    secrets: Secrets = frozenset(),
) -> StepParameters:
    """Render a step's parameters, or those of a workflow bucket.

    ``variables``: root name -> JSON value. ``command``: of the action, if it has no mapping and
    receives these parameters unchanged. ``secrets``: the paths of variables that hold secrets; if a
    template reads one, its errors do not show what it computed.

    Returns final values, and a DatastoreReference for each value that is only ``{{ st2kv... }}``.
    Pass the result as ``variables["parameters"]`` to render the mapping: it records which values
    hold data. Raises TemplateError.
    """
    if cost.is_cheap(parameters, variables):
        return rendering.render_step_parameters(
            parameters, variables, command=command, secrets=secrets
        )
    options = {"command": command, "secrets": _encodable(secrets)}
    rendered = POOL.call("render_step_parameters", [parameters, variables], options)
    return cast("StepParameters", rendered)


def render_for_stackstorm(
    mapping: Mapping[str, object],
    variables: Mapping[str, object],
    *,
    rendered_twice: bool,
    command: Command = NO_COMMAND,
    targets: Iterable[str] = TARGET_PARAMETERS,
    secrets: Secrets = frozenset(),
) -> dict[str, object]:
    """Render an action's mapping into the parameters of a POST to StackStorm, escaped once.

    An empty mapping forwards the step's parameters. ``variables["parameters"]``: the result of
    render_step_parameters. ``rendered_twice``: the action is a workflow, or its runner is not known
    to render once, so text that looks like a template is refused. ``command``: the command that the
    action builds from its parameters. ``targets``: names of parameters that must not be blank.
    ``secrets``: as for render_step_parameters. Raises TemplateError.
    """
    options: dict[str, Any] = {
        "rendered_twice": rendered_twice,
        "command": command,
        "targets": list(targets),
    }
    if cost.is_cheap(mapping, variables):
        return rendering.render_for_stackstorm(mapping, variables, secrets=secrets, **options)
    options["secrets"] = _encodable(secrets)
    rendered = POOL.call("render_for_stackstorm", [mapping, variables], options)
    return cast("dict[str, object]", rendered)


def render_for_local(
    mapping: Mapping[str, object],
    variables: Mapping[str, object],
    *,
    command: Command = NO_COMMAND,
    targets: Iterable[str] = TARGET_PARAMETERS,
    secrets: Secrets = frozenset(),
) -> dict[str, object]:
    """Render an action's mapping into the parameters of a local action, without escaping.

    An empty mapping forwards the step's parameters. ``command``: with the action's destinations.
    ``targets``: names of parameters that must not be blank. ``secrets``: as for
    render_step_parameters. Raises TemplateError, also for ``st2kv``.
    """
    if cost.is_cheap(mapping, variables):
        return rendering.render_for_local(
            mapping, variables, command=command, targets=targets, secrets=secrets
        )
    options = {
        "command": command,
        "targets": list(targets),
        "secrets": _encodable(secrets),
    }
    rendered = POOL.call("render_for_local", [mapping, variables], options)
    return cast("dict[str, object]", rendered)


def evaluate_condition(
    expression: str, variables: Mapping[str, object], *, secrets: Secrets = frozenset()
) -> bool:
    """Return the value of a condition.

    Raises TemplateError unless it is true or false, and if it reads one of ``secrets``.
    """
    if cost.is_cheap_condition(expression, variables):
        return rendering.evaluate_condition(expression, variables, secrets=secrets)
    options = {"secrets": _encodable(secrets)}
    try:
        return bool(POOL.call("evaluate_condition", [expression, variables], options))
    except RendererUnavailable:
        raise
    except TemplateError as error:
        raise TemplateError("condition", error.message) from None


def check(
    parameters: Mapping[str, object],
    *,
    known: Iterable[str] = ROOTS,
    tainted: Iterable[str] = (),
    is_local: bool = False,
    command: Command = NO_COMMAND,
) -> list[TemplateError]:
    """Return the errors that ``parameters`` have for any alert.

    ``known``: the variables that are available. ``tainted``: names of the step parameters that data
    flows into, as returned by ``tainted_parameters``; empty if there is no step. ``is_local``: for
    a local action. ``command``: of the action that receives the parameters.
    """
    if refused := _save_limit_error(parameters):
        return [refused]
    options: dict[str, Any] = {
        "known": frozenset(known),
        "tainted": frozenset(tainted),
        "is_local": is_local,
        "command": command,
    }
    if cost.is_cheap_to_check(parameters):
        return checking.check(parameters, **options)
    return _errors_from_renderer("check", parameters, options)


def check_condition(
    expression: str, *, known: Iterable[str] = ROOTS, secrets: Secrets = frozenset()
) -> list[TemplateError]:
    """Return the errors that a step's condition has for any alert.

    ``secrets``: the paths of variables that a condition must not read.
    """
    if cost.is_short(expression):
        return checking.check_condition(expression, known=known, secrets=secrets)
    options = {"known": frozenset(known), "secrets": _encodable(secrets)}
    errors = _errors_from_renderer("check_condition", expression, options)
    return [TemplateError("condition", error.message) for error in errors]


def tainted_parameters(parameters: Mapping[str, object]) -> frozenset[str]:
    """Return the names of the step parameters that an alert or an earlier result flows into.

    Includes parameters whose templates cannot be parsed.
    """
    if cost.is_cheap_to_check(parameters):
        return rendering.tainted_parameters(parameters)
    try:
        found: Any = POOL.call("tainted_parameters", [parameters], {})
    except TemplateError:
        return frozenset(parameters)
    return frozenset(found)


def secret_templates(values: Mapping[str, object], secrets: Secrets) -> frozenset[str]:
    """Return the templates in ``values`` that read a secret, or that cannot be parsed.

    ``secrets``: the paths of variables that hold secrets.
    """
    roots = {path[0] for path in secrets}
    # A name is literal in the source, so most templates need no further look.
    sources = [text for text in template_sources(values) if any(root in text for root in roots)]
    if not sources:
        return frozenset()
    if len(sources) <= cost.TEMPLATES_MAX and all(map(cost.is_short, sources)):
        return secret_flow.reading_secrets(sources, secrets)
    found: Any = POOL.call("reading_secrets", [sources, _encodable(secrets)], {})
    return frozenset(found)


def _encodable(secrets: Secrets) -> list[Path]:
    return sorted(secrets)


def _errors_from_renderer(
    name: str, subject: object, options: Mapping[str, object]
) -> list[TemplateError]:
    try:
        found: Any = POOL.call(name, [subject], options)
    except TemplateError as error:
        return [error]
    return list(found)


def _save_limit_error(parameters: Mapping[str, object]) -> TemplateError | None:
    """Return an error if there are more templates than can be checked on save."""
    openers, size = 0, 0
    try:
        found = find_templates(parameters)
    except TemplateError as error:
        return error
    for source, location in found:
        openers += cost.count_openers(source)
        size += len(source)
        if budget.is_save_overdue():
            message = "was not checked, because the preceding templates took too long"
            return TemplateError(location.field, f"{message}: save fewer changes together")
        if openers > budget.EXPRESSIONS_MAX:
            message = f"exceeds, with the preceding templates, {budget.EXPRESSIONS_MAX} expressions"
            return TemplateError(location.field, f"{message}: split the step or use fewer")
        if size > budget.current().max_bytes:
            message = "exceeds, with the preceding templates, TEMPLATE_MAX_BYTES"
            return TemplateError(location.field, message)
    return None
