"""Parse a template: the variables its expressions read, and its problems for any alert."""

import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache

from jinja2 import Template, TemplateSyntaxError, nodes
from jinja2.parser import Parser

from remediation.templating.environment import ENVIRONMENT
from remediation.templating.errors import Refused
from remediation.templating.values import (
    DATASTORE_ADVICE,
    DatastoreReference,
    QuotedText,
    check_length,
    to_json_value,
)
from remediation.templating.variables import DATASTORE, ROOTS

CACHED_TEMPLATES = 2048
DECRYPT = "decrypt_kv"  # StackStorm's filter for encrypted values
STATEMENTS = (nodes.Template, nodes.Output, nodes.If, nodes.For, nodes.Assign)

Path = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Expression:
    """One ``{{ }}`` and the variables it reads.

    ``reads``: every path that its value may come from; ``unquoted``: those that may be output
    without a final ``| quote``. ``results``: the possible results, each as its final filter, or '',
    and the paths that it reads. ``path``: set if the expression is a path and nothing else.
    """

    reads: frozenset[Path]
    unquoted: frozenset[Path]
    results: tuple[tuple[str, frozenset[Path]], ...]
    path: Path | None
    datastore: DatastoreReference | None

    @property
    def is_quoted(self) -> bool:
        """Return whether the value is one quoted shell argument."""
        return bool(self.reads) and not self.unquoted

    def lacking(self, filter_name: str) -> frozenset[Path]:
        """Return the paths that may be output without this filter at the end."""
        return frozenset(
            path for final, reads in self.results if final != filter_name for path in reads
        )


@dataclass(frozen=True, slots=True)
class OutputItem:
    """One item of output: text, or the value of an expression (JSON, reference, quoted text)."""

    value: object
    expression: Expression | None = None


@dataclass(frozen=True, slots=True)
class ParsedTemplate:
    """A parsed template.

    ``is_single_expression``: the source is one expression, so its value keeps its type.
    ``problems``: errors for any variables; ``code`` is None if there are any. ``reads``: the paths
    of all variables that it mentions. ``has_own_variables``: it contains ``set`` or ``for``.
    """

    body: nodes.Template
    expressions: tuple[Expression, ...]
    reads: frozenset[Path]
    has_own_variables: bool
    is_single_expression: bool
    problems: tuple[str, ...]
    code: Template | None

    def evaluate(self, context: Mapping[str, object]) -> list[OutputItem]:
        """Return the items of output, in order."""
        if self.code is None:
            raise Refused(self.problems[0])
        items = []
        for output in self.code.root_render_func(self.code.new_context(dict(context))):
            items.append(self._item(output))
            check_length(len(items))
        return items

    def _item(self, output: str | tuple[object, int]) -> OutputItem:
        if isinstance(output, str):
            return OutputItem(output)
        value, number = output
        expression = self.expressions[number]
        if not isinstance(value, QuotedText):
            value = to_json_value(value)
        return OutputItem(expression.datastore or value, expression)

    def unknown_names(self, known: frozenset[str]) -> list[str]:
        """Return the variables that are read but neither known nor set by the template."""
        names = {path[0] for path in self.reads}
        own = {"loop", DATASTORE, *ENVIRONMENT.globals, *_assigned(self.body)}
        return sorted(names - known - own)


@lru_cache(maxsize=CACHED_TEMPLATES)
def parse(source: str) -> ParsedTemplate:
    """Parse a template; raises jinja2.TemplateSyntaxError."""
    return _analyze(ENVIRONMENT.parse(source))


@lru_cache(maxsize=CACHED_TEMPLATES)
def parse_condition(source: str) -> ParsedTemplate:
    """Parse a condition without braces; raises jinja2.TemplateSyntaxError."""
    if "{{" in source:
        raise TemplateSyntaxError("write the condition without {{ }}", 1)
    parser = Parser(ENVIRONMENT, source, state="variable")
    expression = parser.parse_expression()
    if not parser.stream.eos:
        raise TemplateSyntaxError("unexpected text after the expression", 1)
    if any(path[0] == DATASTORE for path in paths(expression)):
        raise TemplateSyntaxError(f"a condition cannot read {DATASTORE}, StackStorm's datastore", 1)
    body = nodes.Template([nodes.Output([expression], lineno=1)], lineno=1)
    body.set_environment(ENVIRONMENT)
    return _analyze(body)


def paths(node: nodes.Node) -> Iterator[Path]:
    """Yield every variable read below ``node``, with the constant part of its path."""
    path = _path(node)
    if path is not None:
        yield path
        return
    for child in node.iter_child_nodes():
        yield from paths(child)


def _path(node: nodes.Node) -> Path | None:
    if isinstance(node, nodes.Name):
        return (node.name,) if node.ctx == "load" else None
    if isinstance(node, nodes.Getattr):
        owner, key = _path(node.node), node.attr
    elif isinstance(node, nodes.Getitem) and isinstance(node.arg, nodes.Const):
        owner, key = _path(node.node), str(node.arg.value)
    else:
        return None
    return None if owner is None else (*owner, key)


def _analyze(body: nodes.Template) -> ParsedTemplate:
    expressions: list[Expression] = []
    for output in body.find_all(nodes.Output):
        for index, node in enumerate(output.nodes):
            if not isinstance(node, nodes.TemplateData):
                output.nodes[index] = _wrap_output(node, len(expressions))
                expressions.append(_analyze_expression(node))
    problems = tuple(_problems(body))
    return ParsedTemplate(
        body=body,
        expressions=tuple(expressions),
        reads=frozenset(paths(body)),
        has_own_variables=any(body.find_all((nodes.For, nodes.Assign))),
        is_single_expression=_is_single_expression(body),
        problems=problems,
        code=None if problems else ENVIRONMENT.from_string(body),
    )


def _is_single_expression(body: nodes.Template) -> bool:
    if len(body.body) != 1 or not isinstance(body.body[0], nodes.Output):
        return False
    outputs = body.body[0].nodes
    return len(outputs) == 1 and not isinstance(outputs[0], nodes.TemplateData)


def _wrap_output(node: nodes.Expr, number: int) -> nodes.Expr:
    # StackStorm resolves datastore references; they are not evaluated here.
    value = nodes.Const(None) if _datastore_reference(node) else node
    method = nodes.EnvironmentAttribute("number_output")
    call = nodes.Call(method, [value, nodes.Const(number)], [], None, None, lineno=node.lineno)
    call.set_environment(ENVIRONMENT)
    return call


def _analyze_expression(node: nodes.Expr) -> Expression:
    datastore = _datastore_reference(node)
    if datastore:
        return Expression(frozenset(), frozenset(), (), path=None, datastore=datastore)
    results = tuple(
        (result.name if isinstance(result, nodes.Filter) else "", frozenset(paths(result)))
        for result in _results(node)
    )
    return Expression(
        reads=frozenset(path for _final, reads in results for path in reads),
        unquoted=frozenset(path for final, reads in results if final != "quote" for path in reads),
        results=results,
        path=_path(node),
        datastore=None,
    )


def _results(node: nodes.Expr) -> Iterator[nodes.Expr]:
    """Yield the possible results of an expression: for ``a if b else c``, ``a`` and ``c``."""
    if not isinstance(node, nodes.CondExpr):
        yield node
        return
    yield from _results(node.expr1)
    if node.expr2 is not None:
        yield from _results(node.expr2)


def _datastore_reference(node: nodes.Expr) -> DatastoreReference | None:
    suffix = ""
    inner: nodes.Node | None = node
    if isinstance(node, nodes.Filter) and node.name == DECRYPT and not node.args:
        inner, suffix = node.node, f" | {DECRYPT}"
    keys: list[str] = []
    while isinstance(inner, nodes.Getattr):
        keys.insert(0, inner.attr)
        inner = inner.node
    if not keys or not isinstance(inner, nodes.Name) or inner.name != DATASTORE:
        return None
    return DatastoreReference(".".join([DATASTORE, *keys]) + suffix)


def _problems(body: nodes.Template) -> Iterator[str]:
    for statement in body.find_all(nodes.Stmt):
        if not isinstance(statement, STATEMENTS):
            yield f"line {statement.lineno}: only the statements if, for and set are allowed"
    yield from _name_problems(body)
    filters = {use.name for use in body.find_all(nodes.Filter)}
    for name in sorted(filters - {DECRYPT} - set(ENVIRONMENT.filters)):
        yield f"unknown filter {name}"
    tests = {use.name for use in body.find_all(nodes.Test)}
    for name in sorted(tests - set(ENVIRONMENT.tests)):
        yield f"unknown test {name}"
    # _wrap_output has already removed the references that are alone in their braces.
    if DECRYPT in filters or any(path[0] == DATASTORE for path in paths(body)):
        yield DATASTORE_ADVICE


def _name_problems(body: nodes.Template) -> Iterator[str]:
    for name in sorted({name.name for name in body.find_all(nodes.Name)}):
        # Python normalizes identifiers: a full-width "config" would be the variable config.
        if unicodedata.normalize("NFKC", name) != name:
            yield f"{name} is not a variable name: write it in plain letters"
    for name in sorted(_assigned(body) & (ROOTS | {DATASTORE})):
        yield f"{name} is a built-in variable; use another name in set and for"


def _assigned(body: nodes.Template) -> set[str]:
    return {name.name for name in body.find_all(nodes.Name) if name.ctx != "load"}
