"""Rules for parameters of local actions that say which server is contacted.

Data from an alert or an earlier step may name a complete host with ``| host``, and may be a path
segment or a query value with ``| urlencode``. It never changes the scheme, a part of the host or
the port.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from enum import StrEnum
from ipaddress import IPv6Address
from urllib.parse import unquote

from jinja2 import nodes

from remediation.templating import url_positions
from remediation.templating.errors import Refused
from remediation.templating.parameter_rules import Provenance, is_data
from remediation.templating.parsed_template import Expression, OutputItem, ParsedTemplate, Path
from remediation.templating.shell_commands import NO_COMMAND, Command
from remediation.templating.url_positions import PartOfHost, Position
from remediation.templating.values import type_name

ENCODED_TEXT = re.compile(r"[A-Za-z0-9_.~%/-]*")  # what urlencode returns for text
HOST_TEXT = re.compile(r"[^\s/?#@\\:\[\]%]+")
FORWARDED = re.compile(r"\{\{-?\s*parameters\.(?P<name>\w+)\s*-?\}\}")
HOST_START = frozenset({Position.HOST_START})
NO_HOST = "must be a host, but the alert's value is none"
STATEMENTS_PROBLEM = "a URL, host or port from data allows expressions and if, not for and set"


class Destination(StrEnum):
    """What a parameter of a local action is."""

    URL = "url"
    HOST = "host"
    PORT = "port"


START = {
    Destination.URL: Position.SCHEME,
    Destination.HOST: Position.HOST_START,
    Destination.PORT: Position.HOST,
}


def destination(source: str, parameter: str, command: Command) -> Destination | None:
    """Return what the parameter is, or None if no rule applies to this template of it.

    No rule applies to a mapping that forwards the step parameter of the same name, because
    ``step_command`` has the rule applied to that one.
    """
    kind = command.destinations.get(parameter)
    return None if kind is None or _forwards(source, parameter) else Destination(kind)


def step_command(mapping: Mapping[str, object], command: Command) -> Command:
    """Return the command for a step's parameters: those that reach the action unchanged."""
    if not mapping:
        return command
    forwarded = {
        name: kind
        for name, kind in command.destinations.items()
        if _forwards(mapping.get(name), name)
    }
    return Command(destinations=forwarded) if forwarded else NO_COMMAND


def _forwards(source: object, parameter: str) -> bool:
    found = FORWARDED.fullmatch(source) if isinstance(source, str) else None
    return found is not None and found["name"] == parameter


def problems(
    parsed: ParsedTemplate, destination: Destination, provenance: Provenance
) -> Iterator[str]:
    """Yield the reasons why data in the parameter is refused for any alert."""
    if not is_data(parsed, provenance):
        return
    if parsed.has_own_variables:
        yield STATEMENTS_PROBLEM
        return
    prediction = _Prediction(parsed.expressions, destination, provenance)
    prediction.body(parsed.body.body, {START[destination]})
    yield from prediction.found


def checked(
    parsed: ParsedTemplate,
    items: list[OutputItem],
    destination: Destination,
    provenance: Provenance,
) -> list[OutputItem]:
    """Return the items, with data encoded for its position. Refuses data in other positions."""
    if not is_data(parsed, provenance):
        return items
    if parsed.has_own_variables:
        raise Refused(STATEMENTS_PROBLEM)
    position, found = START[destination], []
    for item in items:
        if item.expression is None or not provenance.data_in(item.expression.reads):
            position = _advance(position, str(item.value))
            found.append(item)
            continue
        if problem := _problem(item.expression, {position}, destination, provenance):
            raise Refused(problem)
        if position in url_positions.ENCODED:
            text = _encoded(item.value, position)
        else:
            text = _host(item.value, destination)
            position = Position.HOST_END
        found.append(OutputItem(text, item.expression))
    if destination is Destination.URL:
        _refuse_dot_segments("".join(str(item.value) for item in found))
    return found


class _Prediction:
    """Follows a template's outputs, with all positions that are possible before each."""

    def __init__(
        self, expressions: Sequence[Expression], destination: Destination, provenance: Provenance
    ) -> None:
        self._expressions = expressions
        self._destination = destination
        self._provenance = provenance
        self.found: dict[str, None] = {}

    def body(self, body: Iterable[nodes.Node], positions: set[Position]) -> set[Position]:
        """Return the positions after ``body``; add its problems to ``found``."""
        for node in body:
            if isinstance(node, nodes.Output):
                for child in node.nodes:
                    positions = self._output(child, positions)
            elif isinstance(node, nodes.If):
                branches = [node.body, *(other.body for other in node.elif_), node.else_]
                positions = set[Position]().union(
                    *(self.body(branch, positions) for branch in branches)
                )
        return positions

    def _output(self, node: nodes.Expr, positions: set[Position]) -> set[Position]:
        if isinstance(node, nodes.TemplateData):
            return self._text(node.data, positions)
        assert isinstance(node, nodes.Call)  # noqa: S101 - _wrap_output wraps every output
        number = node.args[1]
        assert isinstance(number, nodes.Const)  # noqa: S101 - and numbers it
        expression = self._expressions[number.value]
        if not self._provenance.data_in(expression.reads):
            return set[Position]().union(*map(url_positions.reachable, positions))
        if problem := _problem(expression, positions, self._destination, self._provenance):
            self.found[problem] = None
        if _lacking(expression, "host", self._provenance):
            return positions & url_positions.ENCODED or positions
        return {Position.HOST_END}

    def _text(self, text: str, positions: set[Position]) -> set[Position]:
        after = set()
        for position in positions:
            try:
                after.add(url_positions.advance(position, text))
            except PartOfHost:
                if positions == {Position.HOST_END}:
                    self.found[_part_of_host()] = None
        return after or {Position.HOST}


def _problem(
    expression: Expression,
    positions: Iterable[Position],
    destination: Destination,
    provenance: Provenance,
) -> str:
    """Return why an expression with data is refused in all of these positions; '' if it is not."""
    possible = set(positions)
    unencoded = _lacking(expression, "urlencode", provenance)
    no_host = _lacking(expression, "host", provenance)
    if possible & url_positions.ENCODED:
        if not unencoded or (not no_host and possible & HOST_START):
            return ""
        return f"{unencoded[0]} must end in | urlencode: it becomes a part of the URL"
    path = provenance.data_in(expression.reads)[0]
    if destination is Destination.PORT:
        return f"{path} must not set the port: use a fixed number, or config.KEY"
    if possible & HOST_START:
        return f"{no_host[0]} must end in | host: it names the target" if no_host else ""
    if destination is Destination.HOST:
        return _part_of_host()
    return (
        f"{path} is {sorted(possible)[0]}: data may only be a path segment or a query value with"
        " | urlencode, or the complete host with | host"
    )


def _lacking(expression: Expression, filter_name: str, provenance: Provenance) -> list[str]:
    paths: frozenset[Path] = expression.lacking(filter_name)
    return provenance.data_in(paths)


def _advance(position: Position, text: str) -> Position:
    try:
        return url_positions.advance(position, text)
    except PartOfHost:
        raise Refused(_part_of_host()) from None


def _part_of_host() -> str:
    return "data must be the complete host: no text and no other value may extend it"


def _encoded(value: object, position: Position) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise Refused(f"must be text in a URL, but the alert's value is {type_name(value)}")
    text = str(value)
    if not ENCODED_TEXT.fullmatch(text):
        raise Refused("must be encoded text in a URL: apply urlencode to a text, not to an object")
    if not text and position is Position.PATH:
        raise Refused("is empty: a path segment from data must not be, or the URL is another one")
    return text.replace("/", "%2F")


def _host(value: object, destination: Destination) -> str:
    text = str(value)
    if ":" in text:
        try:
            address = IPv6Address(text)
        except ValueError:
            raise Refused(NO_HOST) from None
        if address.scope_id is None:
            return f"[{address}]" if destination is Destination.URL else text
    if not HOST_TEXT.fullmatch(text):
        raise Refused(NO_HOST)
    return text


def _refuse_dot_segments(url: str) -> None:
    path = re.split(r"[?#]", url, maxsplit=1)[0]
    if any(unquote(segment) in (".", "..") for segment in path.split("/")):
        raise Refused("has a path segment . or .. that data is a part of: it names another path")
