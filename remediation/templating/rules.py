"""What two parameters ask for beyond syntax: `cmd` is shell text, `hosts` names machines.

Both rules rest on provenance: which variables hold text that somebody else wrote.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from jinja2 import nodes

from remediation.templating import shell
from remediation.templating.commands import Command
from remediation.templating.errors import Refused
from remediation.templating.program import Expression, Path, Piece, Program
from remediation.templating.shell import Place
from remediation.templating.values import Part, ShellWord, StepParameters, kind

COMMAND = "cmd"
HOSTS = "hosts"
RULES = frozenset({COMMAND, HOSTS})

OPERATORS_OWN = frozenset({"bucket", "config", "range", "run"})
SEVERAL_HOSTS = re.compile(r"[\s,*]")


@dataclass(frozen=True, slots=True)
class Provenance:
    """Know which variables hold data: text that an alert or an earlier result brought in.

    ``parameters``: names of the step parameters that data flowed into; None when nobody kept
    count, so all of them are data.
    """

    parameters: frozenset[str] | None

    @classmethod
    def of(cls, variables: Mapping[str, object]) -> "Provenance":
        """Return what the step's parameters among the variables remember."""
        parameters = variables.get("parameters")
        return cls(parameters.from_data if isinstance(parameters, StepParameters) else None)

    def data_in(self, reads: Iterable[Path]) -> list[str]:
        """Return the paths that are data, as they are written."""
        return sorted(".".join(path) for path in reads if self._is_data(path))

    def _is_data(self, path: Path) -> bool:
        if path[0] != "parameters":
            # A name that set or for made may hold anything.
            return path[0] not in OPERATORS_OWN
        if self.parameters is None:
            return True
        return path[1] in self.parameters if len(path) > 1 else bool(self.parameters)


def is_data(program: Program, provenance: Provenance) -> bool:
    """Tell whether data flows into what the template renders."""
    return any(provenance.data_in(expression.reads) for expression in program.expressions)


def is_passed_on(program: Program, rule: str | None, provenance: Provenance) -> bool:
    """Tell whether the template is the step's parameter of the same name, as it is.

    The step's own template was held to the rule when the step's parameters were rendered.
    """
    return (
        provenance.parameters is not None
        and program.is_whole
        and program.expressions[0].path == ("parameters", rule)
    )


class Spot(Protocol):
    """Where a text stands; see walking.Spot."""

    @property
    def parameter(self) -> str: ...
    @property
    def is_nested(self) -> bool: ...


def command_problems(
    program: Program, provenance: Provenance, spot: Spot, command: Command
) -> Iterator[str]:
    """Return what keeps data in a command from being quoted, whatever the data is."""
    name, suffix = spot.parameter, ""
    if command.takes(name) and is_data(program, provenance):
        if problem := command.problem(name):
            yield problem
            return
        if name != COMMAND:
            suffix = f": it becomes part of the command {command.shown(name)}"
            if spot.is_nested:
                yield f"has to be one text{suffix}"
    if any(program.body.find_all((nodes.For, nodes.Assign))):
        yield "a command takes expressions and if, not for and set"
    for expression in program.expressions:
        for path in provenance.data_in(expression.unquoted):
            yield f"{path} must end in | quote{suffix}"


def placement_problems(program: Program) -> Iterator[str]:
    """Return the quoted words that stand where quotes do not hold.

    What unquoted expressions come to is not known yet, so this is a forecast; check_command judges.
    """
    found: dict[str, None] = {}
    _forecast(program.body.body, {Place.START}, program.expressions, found)
    yield from found


def check_command(parts: Iterable[Part]) -> None:
    """Refuse a quoted word that stands where quotes do not hold."""
    place, text = Place.START, ""
    for part in parts:
        if isinstance(part, ShellWord):
            place = shell.advance(place, text)
            if place not in shell.QUOTABLE:
                raise Refused(_misplaced(place))
            place, text = Place.WORD, ""
        else:
            # What StackStorm's datastore holds is the operator's, and unknown here.
            text += part if isinstance(part, str) else "x"


def check_hosts(pieces: Iterable[Piece], provenance: Provenance) -> None:
    """Refuse data that names no host or several."""
    for piece in pieces:
        if piece.expression is None or not provenance.data_in(piece.expression.reads):
            continue
        if not isinstance(piece.value, str):
            raise Refused(f"takes a host's name, and what the alert gives is {kind(piece.value)}")
        if not piece.value:
            raise Refused("is empty: it has to name the target of the action")
        if SEVERAL_HOSTS.search(piece.value):
            raise Refused(
                "holds a comma, a space or * that comes from the alert: "
                "StackStorm would take it as several hosts"
            )


def _misplaced(place: Place) -> str:
    return f"a quoted word stands {place}, where its own quotes do not hold: move it out"


def _forecast(
    body: Iterable[nodes.Node],
    places: set[Place],
    expressions: Sequence[Expression],
    found: dict[str, None],
) -> set[Place]:
    for node in body:
        if isinstance(node, nodes.Output):
            for child in node.nodes:
                places = _after_output(child, places, expressions, found)
        elif isinstance(node, nodes.If):
            branches = [node.body, *(other.body for other in node.elif_), node.else_]
            places = set().union(
                *(_forecast(branch, places, expressions, found) for branch in branches)
            )
    return places


def _after_output(
    node: nodes.Expr,
    places: set[Place],
    expressions: Sequence[Expression],
    found: dict[str, None],
) -> set[Place]:
    if isinstance(node, nodes.TemplateData):
        return {shell.advance(place, node.data) for place in places}
    assert isinstance(node, nodes.Call)  # noqa: S101  # every output is numbered
    number = node.args[1]
    assert isinstance(number, nodes.Const)  # noqa: S101
    if not expressions[number.value].is_quoted:
        return {shell.advance(place, "x") for place in places}
    found.update((_misplaced(place), None) for place in sorted(places - shell.QUOTABLE))
    return {Place.WORD}
