"""Rules for two parameters: `cmd` is shell text, and `hosts` names machines.

Both depend on provenance: which variables hold text that did not come from the operator.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from jinja2 import nodes

from remediation.templating import shell_lexer
from remediation.templating.errors import Refused
from remediation.templating.parsed_template import Expression, OutputItem, ParsedTemplate, Path
from remediation.templating.shell_commands import Command
from remediation.templating.shell_lexer import ShellState
from remediation.templating.values import Part, QuotedText, StepParameters, type_name

COMMAND = "cmd"
HOSTS = "hosts"
RULES = frozenset({COMMAND, HOSTS})

TRUSTED_VARIABLES = frozenset({"bucket", "config", "range", "run"})
HOST_SEPARATORS = re.compile(r"[\s,*]")


@dataclass(frozen=True, slots=True)
class Provenance:
    """The variables that hold data: text from an alert or an earlier result.

    ``parameters``: names of the step parameters that data flowed into; None if not known, so that
    all of them count as data.
    """

    parameters: frozenset[str] | None

    @classmethod
    def of(cls, variables: Mapping[str, object]) -> "Provenance":
        """Return the provenance that the step's parameters carry."""
        parameters = variables.get("parameters")
        return cls(parameters.from_data if isinstance(parameters, StepParameters) else None)

    def data_in(self, reads: Iterable[Path]) -> list[str]:
        """Return the paths that are data, as written in a template."""
        return sorted(".".join(path) for path in reads if self._is_data(path))

    def _is_data(self, path: Path) -> bool:
        if path[0] != "parameters":
            # A variable from set or for may hold anything.
            return path[0] not in TRUSTED_VARIABLES
        if self.parameters is None:
            return True
        return path[1] in self.parameters if len(path) > 1 else bool(self.parameters)


def is_data(parsed: ParsedTemplate, provenance: Provenance) -> bool:
    """Return whether data flows into the template's output."""
    return any(provenance.data_in(expression.reads) for expression in parsed.expressions)


def is_forwarded(parsed: ParsedTemplate, rule: str | None, provenance: Provenance) -> bool:
    """Return whether the template is just the step parameter of the same name.

    The rule has already been applied to it when the step's parameters were rendered.
    """
    return (
        provenance.parameters is not None
        and parsed.is_single_expression
        and parsed.expressions[0].path == ("parameters", rule)
    )


class Location(Protocol):
    """The position of a text; see traversal.Location."""

    @property
    def parameter(self) -> str: ...
    @property
    def is_nested(self) -> bool: ...


def command_problems(
    parsed: ParsedTemplate, provenance: Provenance, location: Location, command: Command
) -> Iterator[str]:
    """Yield the reasons why data in a command is not quoted safely, for any data."""
    name, suffix = location.parameter, ""
    if command.includes(name) and is_data(parsed, provenance):
        if problem := command.problem(name):
            yield problem
            return
        if name != COMMAND:
            suffix = f": it is inserted into the command {command.displayed(name)}"
            if location.is_nested:
                yield f"must be a string{suffix}"
    if parsed.has_own_variables:
        yield "commands allow expressions and if, not for and set"
    for expression in parsed.expressions:
        for path in provenance.data_in(expression.unquoted):
            yield f"{path} must end in | quote{suffix}"


def placement_problems(parsed: ParsedTemplate) -> Iterator[str]:
    """Yield the errors for quoted values where quoting does not work.

    The values of unquoted expressions are not known yet, so this is a prediction; check_command
    checks the rendered text.
    """
    found: dict[str, None] = {}
    _predict(parsed.body.body, {ShellState.START}, parsed.expressions, found)
    yield from found


def check_command(parts: Iterable[Part]) -> None:
    """Refuse a quoted value where quoting does not work."""
    state, text = ShellState.START, ""
    for part in parts:
        if isinstance(part, QuotedText):
            state = shell_lexer.advance(state, text)
            if state not in shell_lexer.SAFE_FOR_QUOTED:
                raise Refused(_unsafe_message(state))
            state, text = ShellState.WORD, ""
        else:
            # A datastore value is the operator's, and not known here.
            text += part if isinstance(part, str) else "x"


def check_hosts(items: Iterable[OutputItem], provenance: Provenance) -> None:
    """Refuse data that does not name exactly one host."""
    for item in items:
        if item.expression is None or not provenance.data_in(item.expression.reads):
            continue
        if not isinstance(item.value, str):
            raise Refused(f"must be a host name, but the alert's value is {type_name(item.value)}")
        if not item.value:
            raise Refused("is empty: it must name the target of the action")
        if HOST_SEPARATORS.search(item.value):
            raise Refused(
                "contains a comma, a space or * from the alert: StackStorm would read several hosts"
            )


def _unsafe_message(state: ShellState) -> str:
    return f"a quoted value is {state}, where its quotes have no effect: move it"


def _predict(
    body: Iterable[nodes.Node],
    states: set[ShellState],
    expressions: Sequence[Expression],
    found: dict[str, None],
) -> set[ShellState]:
    for node in body:
        if isinstance(node, nodes.Output):
            for child in node.nodes:
                states = _after_output(child, states, expressions, found)
        elif isinstance(node, nodes.If):
            branches = [node.body, *(other.body for other in node.elif_), node.else_]
            states = set().union(
                *(_predict(branch, states, expressions, found) for branch in branches)
            )
    return states


def _after_output(
    node: nodes.Expr,
    states: set[ShellState],
    expressions: Sequence[Expression],
    found: dict[str, None],
) -> set[ShellState]:
    if isinstance(node, nodes.TemplateData):
        return {shell_lexer.advance(state, node.data) for state in states}
    assert isinstance(node, nodes.Call)  # noqa: S101 - _wrap_output wraps every output
    number = node.args[1]
    assert isinstance(number, nodes.Const)  # noqa: S101 - and numbers it
    if not expressions[number.value].is_quoted:
        return {shell_lexer.advance(state, "x") for state in states}
    found.update(
        (_unsafe_message(state), None) for state in sorted(states - shell_lexer.SAFE_FOR_QUOTED)
    )
    return {ShellState.WORD}
