"""Which templates may be rendered in the calling process: those whose cost has a known bound.

Deny by default: what is not listed here, such as a new filter, a loop or an operator that makes
something longer, is rendered in a process of its own.
"""

from collections.abc import Iterable, Mapping
from functools import lru_cache

import jinja2
from jinja2 import nodes

from remediation.templating.errors import TemplateError, naming
from remediation.templating.program import CACHED_TEMPLATES, parse, parse_condition
from remediation.templating.walking import templates

SOURCE_MAX = 4_000  # characters of one template
OPENERS_MAX = 50  # expressions and statements of one template
TEMPLATES_MAX = 100  # of one object of parameters
NODES_MAX = 400  # of one template's syntax tree
TEXT_MAX = 64 * 1024  # characters in all variables that are read
VALUES_MAX = 2_000  # in all variables that are read

# Each returns at most a few times the length of its input, in one pass.
FILTERS = frozenset({"d", "default", "host", "lower", "quote", "trim", "upper"})
TESTS = frozenset({"boolean", "defined", "false", "none", "number", "string", "true", "undefined"})
NODES = (
    *(nodes.Template, nodes.Output, nodes.TemplateData, nodes.If),
    *(nodes.Const, nodes.Name, nodes.Getattr, nodes.List, nodes.Tuple),
    *(nodes.Compare, nodes.Operand, nodes.And, nodes.Or, nodes.Not, nodes.CondExpr),
)


def are_inexpensive(parameters: Mapping[str, object], variables: Mapping[str, object]) -> bool:
    """Return whether ``parameters`` may be rendered here, with these variables."""
    sources = [source for source, _spot in templates(parameters)]
    if len(sources) > TEMPLATES_MAX:
        return False
    found = [_roots(source) for source in sources]
    if None in found:
        return False
    return _are_small(variables, frozenset().union(*(roots or () for roots in found)))


def is_inexpensive_condition(expression: str, variables: Mapping[str, object]) -> bool:
    """Return whether a condition may be evaluated here, with these variables."""
    roots = _condition_roots(expression)
    return roots is not None and _are_small(variables, roots)


def are_quick_to_check(parameters: Mapping[str, object]) -> bool:
    """Return whether ``parameters`` may be checked here: nothing is evaluated for that."""
    sources = [source for source, _spot in templates(parameters)]
    return len(sources) <= TEMPLATES_MAX and all(map(is_short, sources))


def is_short(source: str) -> bool:
    """Return whether a template may be read here."""
    return len(source) <= SOURCE_MAX and count_openers(source) <= OPENERS_MAX


def count_openers(source: str) -> int:
    """Return how many expressions and statements a template has, at most."""
    return source.count("{{") + source.count("{%")


@lru_cache(maxsize=CACHED_TEMPLATES)
def _roots(source: str) -> frozenset[str] | None:
    """Return the variables that an inexpensive template reads; None for every other template."""
    if not is_short(source):
        return None
    try:
        with naming("template"):
            body = parse(source).body
    except TemplateError:
        return frozenset()  # It says the same when it is rendered, at once.
    return _roots_below(body)


@lru_cache(maxsize=CACHED_TEMPLATES)
def _condition_roots(expression: str) -> frozenset[str] | None:
    if len(expression) > SOURCE_MAX:
        return None
    try:
        with naming("condition"):
            body = parse_condition(expression).body
    except TemplateError:
        return frozenset()
    return _roots_below(body)


def _roots_below(body: nodes.Template) -> frozenset[str] | None:
    found = [body, *body.find_all(jinja2.nodes.Node)]
    if len(found) > NODES_MAX or not all(map(_is_inexpensive, found)):
        return None
    return frozenset(node.name for node in found if isinstance(node, nodes.Name))


def _is_inexpensive(node: nodes.Node) -> bool:
    if isinstance(node, nodes.Filter):
        return node.name in FILTERS and _has_plain_arguments(node)
    if isinstance(node, nodes.Test):
        return node.name in TESTS and _has_plain_arguments(node)
    if isinstance(node, nodes.Getitem):
        return isinstance(node.arg, nodes.Const)
    if isinstance(node, nodes.Call):
        # Ours, around every expression; a template cannot write this node.
        return isinstance(node.node, nodes.EnvironmentAttribute)
    return isinstance(node, (*NODES, nodes.EnvironmentAttribute))


def _has_plain_arguments(node: nodes.Filter | nodes.Test) -> bool:
    return not node.kwargs and node.dyn_args is None and node.dyn_kwargs is None


def _are_small(variables: Mapping[str, object], roots: Iterable[str]) -> bool:
    left: list[object] = [variables[root] for root in roots if root in variables]
    text, values = 0, 0
    while left:
        value = left.pop()
        values += 1
        if isinstance(value, str):
            text += len(value)
        elif isinstance(value, dict):
            text += sum(map(len, value))
            left += value.values()
        elif isinstance(value, list | tuple):
            left += value
        if text > TEXT_MAX or values + len(left) > VALUES_MAX:
            return False
    return True
