"""Check templates on save, without an alert."""

from collections.abc import Iterable, Iterator, Mapping

from remediation.templating import destination_rules, parameter_rules, secret_flow
from remediation.templating.errors import TemplateError, field_errors
from remediation.templating.parameter_rules import Provenance
from remediation.templating.parsed_template import ParsedTemplate, parse, parse_condition
from remediation.templating.rendering import LOCAL_ADVICE
from remediation.templating.shell_commands import NO_COMMAND, Command
from remediation.templating.traversal import find_templates, map_values
from remediation.templating.variables import ALERT_ATTRIBUTES, ROOTS


def check(
    parameters: Mapping[str, object],
    *,
    known: Iterable[str] = ROOTS,
    tainted: Iterable[str] = (),
    is_local: bool = False,
    command: Command = NO_COMMAND,
) -> list[TemplateError]:
    """See ``dispatch.check``."""
    errors = _key_errors(parameters)
    provenance = Provenance(frozenset(tainted))
    for source, location in find_templates(parameters):
        try:
            with field_errors(location.field):
                parsed = parse(source)
        except TemplateError as error:
            errors.append(error)
            continue
        problems = [*_problems(parsed, frozenset(known), is_local=is_local)]
        is_command = location.rule == parameter_rules.COMMAND or command.includes(
            location.parameter
        )
        if is_command and not parameter_rules.is_forwarded(parsed, location.rule, provenance):
            problems += parameter_rules.command_problems(parsed, provenance, location, command)
            problems += parameter_rules.placement_problems(parsed)
        if destination := destination_rules.destination(source, location.parameter, command):
            problems += destination_rules.problems(parsed, destination, provenance)
        errors += [TemplateError(location.field, problem) for problem in problems]
    return errors


def check_condition(
    expression: str,
    *,
    known: Iterable[str] = ROOTS,
    secrets: Iterable[Iterable[str]] = (),
) -> list[TemplateError]:
    """Return the errors of a step's condition."""
    try:
        with field_errors("condition"):
            parsed = parse_condition(expression)
    except TemplateError as error:
        return [error]
    problems = [
        *_problems(parsed, frozenset(known), is_local=False),
        *secret_flow.condition_problems(parsed, secret_flow.as_paths(secrets)),
    ]
    return [TemplateError("condition", problem) for problem in problems]


def _key_errors(parameters: Mapping[str, object]) -> list[TemplateError]:
    errors = []
    for name, value in parameters.items():
        try:
            map_values({name: value}, lambda item, _location: item)
        except TemplateError as error:
            errors.append(error)
    return errors


def _problems(parsed: ParsedTemplate, known: frozenset[str], *, is_local: bool) -> Iterator[str]:
    yield from parsed.problems
    if is_local and any(expression.datastore for expression in parsed.expressions):
        yield LOCAL_ADVICE
    for name in parsed.unknown_names(known):
        yield f"unknown variable {name}; available: {', '.join(sorted(known))}"
    for path in sorted(parsed.reads):
        if path[0] == "alert" and len(path) > 1 and path[1] not in ALERT_ATTRIBUTES:
            available = ", ".join(ALERT_ATTRIBUTES)
            yield f"unknown attribute alert.{path[1]}; available: {available}"
