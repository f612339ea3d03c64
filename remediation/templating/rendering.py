"""The two renderings: a step's parameters, then what its action is given; and conditions."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from remediation.templating import budget, escaping, rules
from remediation.templating.budget import Meter
from remediation.templating.commands import NO_COMMAND, Command
from remediation.templating.errors import Refused, TemplateError, naming
from remediation.templating.filters import to_json
from remediation.templating.program import Piece, Program, parse, parse_condition
from remediation.templating.rules import Provenance
from remediation.templating.targets import TARGETS, check_targets
from remediation.templating.values import (
    DATASTORE_ADVICE,
    DatastoreReference,
    DatastoreText,
    Part,
    StepParameters,
    bounded,
    bounded_value,
    kind,
    size,
)
from remediation.templating.variables import context_of
from remediation.templating.walking import Spot, each_value, is_template, templates

LOCAL_ADVICE = "st2kv is StackStorm's datastore; local actions can use config.KEY"


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
    template = _Template.over(variables, command)

    def rendered(value: object, spot: Spot) -> object:
        value = template.render(value, spot)
        if isinstance(value, DatastoreText):
            raise TemplateError(spot.field, f"{DATASTORE_ADVICE}, and is all of the parameter")
        return value

    values = each_value(parameters, rendered)
    return StepParameters(values, from_data=tainted(parameters), commands=template.commands)


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

    def escaped(value: object, spot: Spot) -> object:
        parts = _parts(value)
        if not parts:
            return value
        if rendered_again:
            escaping.refuse_rendered_again(parts, spot.field)
        return escaping.escape(parts, is_nested=spot.is_nested)

    return each_value(_to_send(mapping, variables, command, targets), escaped)


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

    def unescaped(value: object, spot: Spot) -> object:
        if isinstance(value, DatastoreReference | DatastoreText):
            raise TemplateError(spot.field, LOCAL_ADVICE)
        return value

    return each_value(_to_send(mapping, variables, NO_COMMAND, targets), unescaped, any_key=True)


def evaluate_condition(expression: str, variables: Mapping[str, object]) -> bool:
    """Return what a bare expression comes to; raises TemplateError unless it is true or false."""
    with naming("condition"):
        [piece] = parse_condition(expression).evaluate(context_of(variables))
    if not isinstance(piece.value, bool):
        message = f"is {kind(piece.value)}, and has to be true or false: compare it with something"
        raise TemplateError("condition", message)
    return piece.value


def tainted(parameters: Mapping[str, object]) -> frozenset[str]:
    """Return the names of the step parameters that an alert or an earlier result flows into.

    A template that cannot be read counts as one.
    """
    return frozenset(
        name
        for name in parameters
        if any(_is_data(source) for source, _spot in templates({name: parameters[name]}))
    )


def _is_data(source: str) -> bool:
    try:
        with naming("template"):
            return rules.is_data(parse(source), Provenance(frozenset()))
    except TemplateError:
        return True


@dataclass(frozen=True, slots=True)
class _Template:
    """Render texts over one set of variables.

    ``commands``: filled with the parts of every text that was held to the rule of commands.
    """

    context: Mapping[str, object]
    provenance: Provenance
    meter: Meter
    command: Command
    passed_on: Mapping[str, tuple[Part, ...]]
    commands: dict[str, tuple[Part, ...]] = field(default_factory=dict)

    @classmethod
    def over(cls, variables: Mapping[str, object], command: Command) -> "_Template":
        """Return what renders over these variables, within one budget."""
        parameters = variables.get("parameters")
        return cls(
            context_of(variables),
            Provenance.of(variables),
            Meter(budget.current()),
            command,
            parameters.commands if isinstance(parameters, StepParameters) else {},
        )

    def render(self, value: object, spot: Spot) -> object:
        """Return what ``value`` comes to: JSON, a DatastoreReference or a DatastoreText."""
        if not isinstance(value, str) or not is_template(value):
            return value
        with naming(spot.field):
            program = parse(value)
            is_command = spot.rule == rules.COMMAND or self.command.takes(spot.parameter)
            pieces = self._evaluate(program, spot, is_command=is_command)
            if program.is_whole and not (is_command and isinstance(pieces[0].value, str)):
                value = bounded_value(pieces[0].value)
                self.meter.add(size(value))
                return value
            parts = [_text(piece) for piece in pieces]
            if is_command and spot.field not in self.commands:
                rules.check_command(parts)
                self.commands[spot.field] = tuple(parts)
            joined = bounded_value(pieces[0].value) if program.is_whole else _joined(parts)
            self.meter.add(sum(map(size, parts)))
            return joined

    def _evaluate(self, program: Program, spot: Spot, *, is_command: bool) -> list[Piece]:
        is_safe = not (spot.rule == rules.COMMAND and self.command.is_windows)
        if is_safe and rules.is_passed_on(program, spot.rule, self.provenance):
            self.commands[spot.field] = self.passed_on.get(str(spot.rule), ())
            return program.evaluate(self.context)
        if is_command:
            problems = rules.command_problems(program, self.provenance, spot, self.command)
            for problem in (*program.problems, *problems):
                raise Refused(problem)
        pieces = program.evaluate(self.context)
        if spot.rule == rules.HOSTS:
            rules.check_hosts(pieces, self.provenance)
        return pieces


def _text(piece: Piece) -> Part:
    if isinstance(piece.value, str | DatastoreReference):
        return piece.value
    if isinstance(piece.value, dict | list):
        return to_json(piece.value)
    return str(piece.value)


def _joined(parts: Sequence[Part]) -> str | DatastoreText:
    joined: list[Part] = [""]
    bounded(sum(len(part) for part in parts if isinstance(part, str)))
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


def _to_send(
    mapping: Mapping[str, object],
    variables: Mapping[str, object],
    command: Command,
    targets: Iterable[str],
) -> dict[str, object]:
    if mapping:
        template = _Template.over(variables, command)
        values, commands = each_value(mapping, template.render), template.commands
    else:
        passed_on = _passed_on(variables)
        values, commands = dict(passed_on), dict(passed_on.commands)
    check_targets(values, targets)
    command.check(
        {
            name: commands.get(name) or _parts(value) or (json.dumps(value, default=repr),)
            for name, value in values.items()
            if value is not None and command.takes(name)
        }
    )
    return values


def _passed_on(variables: Mapping[str, object]) -> StepParameters:
    parameters = variables.get("parameters")
    if not isinstance(parameters, StepParameters):
        # Anything else was not held to the rules of cmd and hosts.
        raise TypeError("parameters must be what render_step_parameters returned")
    return parameters
