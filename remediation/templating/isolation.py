"""The functions of templating within their budget, here or in a renderer.

What is inexpensive by its syntax and its size is rendered here, since a renderer costs more than
that; everything else in a process that is ended when it takes too much.
"""

from collections.abc import Iterable, Mapping
from typing import Any, cast

from remediation.templating import budget, checking, inexpensive, rendering
from remediation.templating.commands import NO_COMMAND, Command
from remediation.templating.errors import TemplateError
from remediation.templating.renderer_pool import POOL, RendererUnavailable
from remediation.templating.targets import TARGETS
from remediation.templating.values import StepParameters
from remediation.templating.variables import ROOTS
from remediation.templating.walking import templates

__all__ = ["RendererUnavailable"]


def render_step_parameters(
    parameters: Mapping[str, object],
    variables: Mapping[str, object],
    *,
    command: Command = NO_COMMAND,
) -> StepParameters:
    """Render a step's parameters, or those of a workflow bucket.

    ``variables``: root name -> JSON value. The result is plain values, never to be rendered again,
    and a DatastoreReference where a whole value was ``{{ st2kv... }}``. It is what the second
    rendering expects as ``variables["parameters"]``: it remembers which of its values hold data.
    ``command``: of the action, when it has no mapping and gets these parameters as they are.
    Raises TemplateError.
    """
    if inexpensive.are_inexpensive(parameters, variables):
        return rendering.render_step_parameters(parameters, variables, command=command)
    options = {"command": command}
    rendered = POOL.call("render_step_parameters", [parameters, variables], options)
    return cast("StepParameters", rendered)


def render_for_stackstorm(
    mapping: Mapping[str, object],
    variables: Mapping[str, object],
    *,
    rendered_again: bool,
    command: Command = NO_COMMAND,
    targets: Iterable[str] = TARGETS,
) -> dict[str, object]:
    """Render an action's mapping into the parameters of a POST to StackStorm, escaped once.

    An empty mapping passes the step's parameters on. ``variables["parameters"]``: what
    render_step_parameters returned. ``rendered_again``: the action is a workflow, or its runner is
    not known to be a plain one, so text that looks like a template is refused. ``command``: what
    the action builds of its parameters. ``targets``: names of the parameters that must not come
    out blank. Raises TemplateError.
    """
    options: dict[str, Any] = {
        "rendered_again": rendered_again,
        "command": command,
        "targets": list(targets),
    }
    if inexpensive.are_inexpensive(mapping, variables):
        return rendering.render_for_stackstorm(mapping, variables, **options)
    rendered = POOL.call("render_for_stackstorm", [mapping, variables], options)
    return cast("dict[str, object]", rendered)


def render_for_local(
    mapping: Mapping[str, object],
    variables: Mapping[str, object],
    *,
    targets: Iterable[str] = TARGETS,
) -> dict[str, object]:
    """Render an action's mapping into the parameters of a local action; nothing is escaped.

    An empty mapping passes the step's parameters on. ``targets``: names of the parameters that
    must not come out blank. Raises TemplateError, also for ``st2kv``.
    """
    if inexpensive.are_inexpensive(mapping, variables):
        return rendering.render_for_local(mapping, variables, targets=targets)
    rendered = POOL.call("render_for_local", [mapping, variables], {"targets": list(targets)})
    return cast("dict[str, object]", rendered)


def evaluate_condition(expression: str, variables: Mapping[str, object]) -> bool:
    """Return what a bare expression comes to; raises TemplateError unless it is true or false."""
    if inexpensive.is_inexpensive_condition(expression, variables):
        return rendering.evaluate_condition(expression, variables)
    try:
        return bool(POOL.call("evaluate_condition", [expression, variables], {}))
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
    """Return what is wrong with ``parameters`` whatever the alert.

    ``known``: the variables that will be there. ``tainted``: names of the step's parameters that
    alert data flows into, as templating.tainted finds them; empty while no step is known.
    ``is_local``: no StackStorm will see them. ``command``: of the action that is sent them.
    """
    if refused := _too_much(parameters):
        return [refused]
    options: dict[str, Any] = {
        "known": frozenset(known),
        "tainted": frozenset(tainted),
        "is_local": is_local,
        "command": command,
    }
    if inexpensive.are_quick_to_check(parameters):
        return checking.check(parameters, **options)
    return _found("check", parameters, options)


def check_condition(expression: str, *, known: Iterable[str] = ROOTS) -> list[TemplateError]:
    """Return what is wrong with a step's condition whatever the alert."""
    if inexpensive.is_short(expression):
        return checking.check_condition(expression, known=known)
    errors = _found("check_condition", expression, {"known": frozenset(known)})
    return [TemplateError("condition", error.message) for error in errors]


def tainted(parameters: Mapping[str, object]) -> frozenset[str]:
    """Return the names of the step parameters that an alert or an earlier result flows into.

    A template that cannot be read counts as one.
    """
    if inexpensive.are_quick_to_check(parameters):
        return rendering.tainted(parameters)
    try:
        found: Any = POOL.call("tainted", [parameters], {})
    except TemplateError:
        return frozenset(parameters)
    return frozenset(found)


def _found(name: str, subject: object, options: Mapping[str, object]) -> list[TemplateError]:
    try:
        found: Any = POOL.call(name, [subject], options)
    except TemplateError as error:
        return [error]
    return list(found)


def _too_much(parameters: Mapping[str, object]) -> TemplateError | None:
    """Return the error of more templates than can be checked on save."""
    openers, size = 0, 0
    try:
        found = templates(parameters)
    except TemplateError as error:
        return error
    for source, spot in found:
        openers += inexpensive.count_openers(source)
        size += len(source)
        if budget.is_save_overdue():
            message = "was not checked, since the templates before it took too long: save less"
            return TemplateError(spot.field, f"{message} together")
        if openers > budget.EXPRESSIONS_MAX:
            message = f"has, with those before it, more than {budget.EXPRESSIONS_MAX} expressions"
            return TemplateError(spot.field, f"{message}: split the step, or use fewer")
        if size > budget.current().max_bytes:
            message = "is, with those before it, larger than TEMPLATE_MAX_BYTES allows"
            return TemplateError(spot.field, message)
    return None
