"""Decide whether a template is cheap enough to render in the calling process.

A template is cheap if its cost has a known bound. Anything not listed here, such as a new filter, a
loop or an operator that produces longer values, is rendered in a renderer process.
"""

from collections.abc import Iterable, Mapping
from functools import lru_cache

import jinja2
from jinja2 import nodes

from remediation.templating.errors import TemplateError, field_errors
from remediation.templating.parsed_template import CACHED_TEMPLATES, parse, parse_condition
from remediation.templating.traversal import template_sources

SOURCE_MAX = 4_000  # characters, per template
OPENERS_MAX = 50  # expressions and statements, per template
TEMPLATES_MAX = 100  # per parameters object
NODES_MAX = 400  # in the syntax tree of a template
TEXT_MAX = 64 * 1024  # characters in all variables that are read
VALUES_MAX = 2_000  # in all variables that are read

# Each makes one pass and returns at most a few times the length of its input.
CHEAP_FILTERS = frozenset({"d", "default", "host", "lower", "quote", "trim", "upper"})
CHEAP_TESTS = frozenset(
    {"boolean", "defined", "false", "none", "number", "string", "true", "undefined"}
)
CHEAP_NODES = (
    *(nodes.Template, nodes.Output, nodes.TemplateData, nodes.If),
    *(nodes.Const, nodes.Name, nodes.Getattr, nodes.List, nodes.Tuple),
    *(nodes.Compare, nodes.Operand, nodes.And, nodes.Or, nodes.Not, nodes.CondExpr),
)


def is_cheap(parameters: Mapping[str, object], variables: Mapping[str, object]) -> bool:
    """Return whether the parameters can be rendered in this process with these variables."""
    sources = template_sources(parameters)
    if len(sources) > TEMPLATES_MAX:
        return False
    found = [_cheap_roots(source) for source in sources]
    if None in found:
        return False
    return _is_small(variables, frozenset().union(*(roots or () for roots in found)))


def is_cheap_condition(expression: str, variables: Mapping[str, object]) -> bool:
    """Return whether the condition can be evaluated in this process with these variables."""
    roots = _cheap_condition_roots(expression)
    return roots is not None and _is_small(variables, roots)


def is_cheap_to_check(parameters: Mapping[str, object]) -> bool:
    """Return whether the parameters can be checked in this process; a check evaluates nothing."""
    sources = template_sources(parameters)
    return len(sources) <= TEMPLATES_MAX and all(map(is_short, sources))


def is_short(source: str) -> bool:
    """Return whether a template is short enough to be parsed in this process."""
    return len(source) <= SOURCE_MAX and count_openers(source) <= OPENERS_MAX


def count_openers(source: str) -> int:
    """Return an upper bound for the number of expressions and statements."""
    return source.count("{{") + source.count("{%")


@lru_cache(maxsize=CACHED_TEMPLATES)
def _cheap_roots(source: str) -> frozenset[str] | None:
    """Return the variables that a cheap template reads; None for any other template."""
    if not is_short(source):
        return None
    try:
        with field_errors("template"):
            body = parse(source).body
    except TemplateError:
        return frozenset()  # Rendering fails with the same error, at once.
    return _roots_if_cheap(body)


@lru_cache(maxsize=CACHED_TEMPLATES)
def _cheap_condition_roots(expression: str) -> frozenset[str] | None:
    if len(expression) > SOURCE_MAX:
        return None
    try:
        with field_errors("condition"):
            body = parse_condition(expression).body
    except TemplateError:
        return frozenset()
    return _roots_if_cheap(body)


def _roots_if_cheap(body: nodes.Template) -> frozenset[str] | None:
    found = [body, *body.find_all(jinja2.nodes.Node)]
    if len(found) > NODES_MAX or not all(map(_is_cheap_node, found)):
        return None
    return frozenset(node.name for node in found if isinstance(node, nodes.Name))


def _is_cheap_node(node: nodes.Node) -> bool:
    if isinstance(node, nodes.Filter):
        return node.name in CHEAP_FILTERS and _has_plain_arguments(node)
    if isinstance(node, nodes.Test):
        return node.name in CHEAP_TESTS and _has_plain_arguments(node)
    if isinstance(node, nodes.Getitem):
        return isinstance(node.arg, nodes.Const)
    if isinstance(node, nodes.Call):
        # We wrap every expression in this node; templates cannot contain it.
        return isinstance(node.node, nodes.EnvironmentAttribute)
    return isinstance(node, (*CHEAP_NODES, nodes.EnvironmentAttribute))


def _has_plain_arguments(node: nodes.Filter | nodes.Test) -> bool:
    return not node.kwargs and node.dyn_args is None and node.dyn_kwargs is None


def _is_small(variables: Mapping[str, object], roots: Iterable[str]) -> bool:
    pending: list[object] = [variables[root] for root in roots if root in variables]
    text, values = 0, 0
    while pending:
        value = pending.pop()
        values += 1
        if isinstance(value, str):
            text += len(value)
        elif isinstance(value, dict):
            text += sum(map(len, value))
            pending += value.values()
        elif isinstance(value, list | tuple):
            pending += value
        if text > TEXT_MAX or values + len(pending) > VALUES_MAX:
            return False
    return True
