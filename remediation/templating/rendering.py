"""Render step parameters, action mappings and conditions in this process.

Callers use the functions of the same names in dispatch, which also documents them.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from jinja2 import TemplateError as JinjaError

from remediation.templating import (
    budget,
    destination_rules,
    escaping,
    parameter_rules,
    secret_flow,
)
from remediation.templating.budget import SizeMeter
from remediation.templating.errors import Refused, TemplateError, field_errors
from remediation.templating.filters import to_json
from remediation.templating.parameter_rules import Provenance
from remediation.templating.parsed_template import (
    OutputItem,
    ParsedTemplate,
    Path,
    parse,
    parse_condition,
)
from remediation.templating.shell_commands import NO_COMMAND, Command
from remediation.templating.target_parameters import TARGET_PARAMETERS, check_targets
from remediation.templating.traversal import Location, find_templates, is_template, map_values
from remediation.templating.values import (
    DATASTORE_ADVICE,
    DatastoreReference,
    DatastoreText,
    Part,
    StepParameters,
    check_length,
    check_value_length,
    encoded_size,
    type_name,
)
from remediation.templating.variables import template_context

LOCAL_ADVICE = "local actions cannot read st2kv, StackStorm's datastore; use config.KEY"


def render_step_parameters(
    parameters: Mapping[str, object],
    variables: Mapping[str, object],
    *,
    command: Command = NO_COMMAND,
    secrets: Iterable[Iterable[str]] = (),
) -> StepParameters:
    """Render a step's parameters, or those of a workflow bucket."""
    renderer = _Renderer.for_variables(variables, command, secrets)

    def rendered(value: object, location: Location) -> object:
        value = renderer.render(value, location)
        if isinstance(value, DatastoreText):
            raise TemplateError(location.field, f"{DATASTORE_ADVICE}, as the complete parameter")
        return value

    values = map_values(parameters, rendered)
    return StepParameters(
        values, from_data=tainted_parameters(parameters), commands=renderer.commands
    )


def render_for_stackstorm(
    mapping: Mapping[str, object],
    variables: Mapping[str, object],
    *,
    rendered_twice: bool,
    command: Command = NO_COMMAND,
    targets: Iterable[str] = TARGET_PARAMETERS,
    secrets: Iterable[Iterable[str]] = (),
) -> dict[str, object]:
    """Render an action's mapping into the parameters of a POST to StackStorm, escaped once."""

    def escaped(value: object, location: Location) -> object:
        parts = _parts(value)
        if not parts:
            return value
        if rendered_twice:
            escaping.refuse_rendered_twice(parts, location.field)
        return escaping.escape(parts, is_nested=location.is_nested)

    return map_values(_values_to_send(mapping, variables, command, targets, secrets), escaped)


def render_for_local(
    mapping: Mapping[str, object],
    variables: Mapping[str, object],
    *,
    command: Command = NO_COMMAND,
    targets: Iterable[str] = TARGET_PARAMETERS,
    secrets: Iterable[Iterable[str]] = (),
) -> dict[str, object]:
    """Render an action's mapping into the parameters of a local action, without escaping."""

    def unescaped(value: object, location: Location) -> object:
        if isinstance(value, DatastoreReference | DatastoreText):
            raise TemplateError(location.field, LOCAL_ADVICE)
        return value

    return map_values(
        _values_to_send(mapping, variables, command, targets, secrets), unescaped, any_key=True
    )


def evaluate_condition(
    expression: str,
    variables: Mapping[str, object],
    *,
    secrets: Iterable[Iterable[str]] = (),
) -> bool:
    """Return the value of a condition; raise TemplateError unless it is true or false."""
    with field_errors("condition"):
        parsed = parse_condition(expression)
        for problem in secret_flow.condition_problems(parsed, secret_flow.as_paths(secrets)):
            raise Refused(problem)
        [item] = parsed.evaluate(template_context(variables))
    if not isinstance(item.value, bool):
        message = f"must be true or false, but is {type_name(item.value)}: add a comparison"
        raise TemplateError("condition", message)
    return item.value


def tainted_parameters(parameters: Mapping[str, object]) -> frozenset[str]:
    """Return the names of the step parameters that an alert or an earlier result flows into."""
    return frozenset(
        name
        for name in parameters
        if any(_is_data(source) for source, _location in find_templates({name: parameters[name]}))
    )


def _is_data(source: str) -> bool:
    try:
        with field_errors("template"):
            return parameter_rules.is_data(parse(source), Provenance(frozenset()))
    except TemplateError:
        return True


@dataclass(frozen=True, slots=True)
class _Renderer:
    """Renders texts with one set of variables.

    ``commands``: collects the parts of each text that the command rule was applied to, by field.
    """

    context: Mapping[str, object]
    provenance: Provenance
    meter: SizeMeter
    command: Command
    forwarded: Mapping[str, tuple[Part, ...]]
    secrets: frozenset[Path]
    commands: dict[str, tuple[Part, ...]] = field(default_factory=dict)

    @classmethod
    def for_variables(
        cls,
        variables: Mapping[str, object],
        command: Command,
        secrets: Iterable[Iterable[str]],
    ) -> "_Renderer":
        """Return a renderer for these variables, with its own budget."""
        parameters = variables.get("parameters")
        return cls(
            template_context(variables),
            Provenance.of(variables),
            SizeMeter(budget.current()),
            command,
            parameters.commands if isinstance(parameters, StepParameters) else {},
            secret_flow.as_paths(secrets),
        )

    def render(self, value: object, location: Location) -> object:
        """Return the rendered value: JSON, a DatastoreReference or a DatastoreText."""
        if not isinstance(value, str) or not is_template(value):
            return value
        with field_errors(location.field):
            parsed = parse(value)
            is_command = location.rule == parameter_rules.COMMAND or self.command.includes(
                location.parameter
            )
            items = self._evaluate(parsed, location, is_command=is_command)
            kind = destination_rules.destination(value, location.parameter, self.command)
            if kind is not None:
                items = destination_rules.checked(parsed, items, kind, self.provenance)
            if parsed.is_single_expression and not (is_command and isinstance(items[0].value, str)):
                value = check_value_length(items[0].value)
                self.meter.add(encoded_size(value))
                return value
            parts = [_text(item) for item in items]
            if is_command and location.field not in self.commands:
                parameter_rules.check_command(parts)
                self.commands[location.field] = tuple(parts)
            joined = (
                check_value_length(items[0].value) if parsed.is_single_expression else _join(parts)
            )
            self.meter.add(sum(map(encoded_size, parts)))
            return joined

    def _evaluate(
        self, parsed: ParsedTemplate, location: Location, *, is_command: bool
    ) -> list[OutputItem]:
        is_safe = not (location.rule == parameter_rules.COMMAND and self.command.is_windows)
        if is_safe and parameter_rules.is_forwarded(parsed, location.rule, self.provenance):
            self.commands[location.field] = self.forwarded.get(str(location.rule), ())
            return self._compute(parsed)
        if is_command:
            problems = parameter_rules.command_problems(
                parsed, self.provenance, location, self.command
            )
            for problem in (*parsed.problems, *problems):
                raise Refused(problem)
        items = self._compute(parsed)
        if location.rule == parameter_rules.HOSTS:
            parameter_rules.check_hosts(items, self.provenance)
        return items

    def _compute(self, parsed: ParsedTemplate) -> list[OutputItem]:
        """Evaluate a template. If it reads a secret, an error does not say what it computed."""
        try:
            return parsed.evaluate(self.context)
        except (JinjaError, TypeError, ArithmeticError, AssertionError) as error:
            # Other errors have fixed messages; see errors.MESSAGES.
            if not secret_flow.secrets_read(parsed, self.secrets):
                raise
            if parsed.problems or secret_flow.is_public_reason(parsed, str(error)):
                raise
            raise Refused(secret_flow.HIDDEN_REASON) from None


def _text(item: OutputItem) -> Part:
    if isinstance(item.value, str | DatastoreReference):
        return item.value
    if isinstance(item.value, dict | list):
        return to_json(item.value)
    return str(item.value)


def _join(parts: Sequence[Part]) -> str | DatastoreText:
    joined: list[Part] = [""]
    check_length(sum(len(part) for part in parts if isinstance(part, str)))
    texts: list[str] = []
    for part in parts:
        if isinstance(part, str):
            texts.append(part)
        else:
            joined += ["".join(texts), part]
            texts = []
    if len(joined) == 1:
        return "".join(texts)
    return DatastoreText((*joined[1:], "".join(texts)))


def _parts(value: object) -> tuple[Part, ...]:
    if isinstance(value, DatastoreText):
        return value.parts
    return (value,) if isinstance(value, str | DatastoreReference) else ()


def _values_to_send(
    mapping: Mapping[str, object],
    variables: Mapping[str, object],
    command: Command,
    targets: Iterable[str],
    secrets: Iterable[Iterable[str]],
) -> dict[str, object]:
    if mapping:
        renderer = _Renderer.for_variables(variables, command, secrets)
        values, commands = map_values(mapping, renderer.render), renderer.commands
    else:
        forwarded = _forwarded_parameters(variables)
        values, commands = dict(forwarded), dict(forwarded.commands)
    check_targets(values, targets)
    command.check(
        {
            name: commands.get(name) or _parts(value) or (json.dumps(value, default=repr),)
            for name, value in values.items()
            if value is not None and command.includes(name)
        }
    )
    return values


def _forwarded_parameters(variables: Mapping[str, object]) -> StepParameters:
    parameters = variables.get("parameters")
    if not isinstance(parameters, StepParameters):
        # The rules for cmd and hosts have not been applied to anything else.
        raise TypeError("parameters must be what render_step_parameters returned")
    return parameters
