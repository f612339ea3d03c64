"""What can be said of templates when they are saved, without an alert."""

from collections.abc import Iterable, Iterator, Mapping

from remediation.templating import rules
from remediation.templating.commands import NO_COMMAND, Command
from remediation.templating.errors import TemplateError, naming
from remediation.templating.program import Program, parse, parse_condition, paths
from remediation.templating.rendering import LOCAL_ADVICE
from remediation.templating.rules import Provenance
from remediation.templating.variables import ALERT_ATTRIBUTES, ROOTS
from remediation.templating.walking import each_value, templates


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
    errors = _key_errors(parameters)
    provenance = Provenance(frozenset(tainted))
    for source, spot in templates(parameters):
        try:
            with naming(spot.field):
                program = parse(source)
        except TemplateError as error:
            errors.append(error)
            continue
        problems = [*_problems(program, frozenset(known), is_local=is_local)]
        is_command = spot.rule == rules.COMMAND or command.takes(spot.parameter)
        if is_command and not rules.is_passed_on(program, spot.rule, provenance):
            problems += rules.command_problems(program, provenance, spot, command)
            problems += rules.placement_problems(program)
        errors += [TemplateError(spot.field, problem) for problem in problems]
    return errors


def check_condition(expression: str, *, known: Iterable[str] = ROOTS) -> list[TemplateError]:
    """Return what is wrong with a step's condition whatever the alert."""
    try:
        with naming("condition"):
            program = parse_condition(expression)
    except TemplateError as error:
        return [error]
    problems = _problems(program, frozenset(known), is_local=False)
    return [TemplateError("condition", problem) for problem in problems]


def _key_errors(parameters: Mapping[str, object]) -> list[TemplateError]:
    errors = []
    for name, value in parameters.items():
        try:
            each_value({name: value}, lambda item, _spot: item)
        except TemplateError as error:
            errors.append(error)
    return errors


def _problems(program: Program, known: frozenset[str], *, is_local: bool) -> Iterator[str]:
    yield from program.problems
    if is_local and any(expression.datastore for expression in program.expressions):
        yield LOCAL_ADVICE
    for name in program.unknown_names(known):
        yield f"{name} is not a variable; known are {', '.join(sorted(known))}"
    for path in sorted(set(paths(program.body))):
        if path[0] == "alert" and len(path) > 1 and path[1] not in ALERT_ATTRIBUTES:
            has = ", ".join(ALERT_ATTRIBUTES)
            yield f"alert.{path[1]} is not an attribute of alert; it has {has}"
