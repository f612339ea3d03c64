"""Queries of the list of executions: filters, attributes and paging, with StackStorm's errors."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeVar

from .executions import Execution
from .store import Store
from .validation import FaultError

Row = TypeVar("Row")

DEFAULT_LIMIT = 100
OBJECT_ID = re.compile(r"[0-9a-f]{24}", re.IGNORECASE)
TAG_FILTER = "context.trace_context.trace_tag:"

# The stored fields of an execution. `elapsed_seconds` is computed, so it is not one of them.
STORED = frozenset(
    [
        *("id", "status", "action", "runner", "liveaction", "parameters", "context", "log"),
        *("start_timestamp", "end_timestamp", "result", "result_size", "delay", "web_url"),
        *("parent", "children", "workflow_execution", "task_execution"),
        *("rule", "trigger", "trigger_type", "trigger_instance"),
    ]
)
EXCLUDABLE = ("result", "trigger_instance", "status")

# Filters with a single value, and how to read that value; `null` matches executions without one.
# All other query parameters are ignored.
FILTERS: dict[str, Callable[[Execution, float], Any]] = {
    "status": lambda one, now: one.status(now),
    "action": lambda one, now: one.action.ref,
    "runner": lambda one, now: one.action.runner_name,
    "user": lambda one, now: one.context.get("user"),
    "liveaction": lambda one, now: one.liveaction_id,
    "parent": lambda one, now: one.parent.id if one.parent else "null",
    "rule": lambda one, now: _rule_field(one, "rule", "name"),
    "trigger": lambda one, now: _rule_field(one, "trigger", "name"),
    "trigger_type": lambda one, now: _rule_field(one, "trigger_type", "name"),
    "trigger_instance": lambda one, now: _rule_field(one, "trigger_instance", "id"),
}
Predicate = Callable[[Execution, float], bool]


def _rule_field(execution: Execution, field: str, name: str) -> Any:
    return execution.rule_fields.get(field, {}).get(name, "null")


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a list; ``limit`` None: unlimited."""

    rows: Sequence[Mapping[str, Any]]
    total: int
    limit: int | None

    @property
    def headers(self) -> dict[str, str]:
        """The paging headers."""
        limit = {} if self.limit is None else {"X-Limit": str(self.limit)}
        return {"X-Total-Count": str(self.total), **limit}


def list_executions(store: Store, query: Mapping[str, str]) -> Page:
    """Return the executions that match ``query``, by default newest first.

    Raises FaultError.
    """
    limit = parse_limit(query, DEFAULT_LIMIT)
    select = attribute_filter(query)
    predicates = _predicates(query)
    show_secrets = query.get("show_secrets") == "true"
    with store.lock:
        now = store.clock()
        found = [
            one
            for one in _candidates(store, query)
            if all(matches(one, now) for matches in predicates)
        ]
        if "timestamp_gt" in query or query.get("sort_asc", "").lower() == "true":
            found.reverse()
        page = _slice(found, query, limit)
        fields = included_fields(query)
        rows = [select(one.view(now, show_secrets=show_secrets, fields=fields)) for one in page]
    return Page(rows, len(found), limit)


def page_of(
    rows: Sequence[Mapping[str, Any]], query: Mapping[str, str], *, default: int | None = None
) -> Page:
    """Return the page of ``rows`` selected by ``limit`` and ``offset``.

    Raises FaultError.
    """
    limit = parse_limit(query, default)
    return Page(_slice(rows, query, limit), len(rows), limit)


def parse_limit(query: Mapping[str, str], default: int | None) -> int | None:
    """Return the requested number of rows; None: all.

    Raises FaultError.
    """
    if "limit" not in query:
        return default
    limit = parse_integer(query, "limit") or 0
    if limit == -1:
        return None
    if limit < 1:
        raise FaultError(
            400,
            f'Limit, "{limit}" specified, must be a positive number or -1 for full result set.',
        )
    return limit


def attribute_filter(query: Mapping[str, str]) -> Callable[[Mapping[str, Any]], dict[str, Any]]:
    """Return a function that reduces a view to the requested attributes.

    Raises FaultError.
    """
    included = _split(query, "include_attributes")
    excluded = _split(query, "exclude_attributes")
    if included and excluded:
        raise FaultError(
            400,
            "exclude_fields and include_fields arguments are mutually exclusive. "
            "You need to provide either one or another, but not both.",
        )
    for name in excluded:
        if name not in EXCLUDABLE:
            raise FaultError(400, f"Invalid or unsupported exclude attribute specified: {name}")
    for name in included:
        _check_included(name)
    if included:
        return lambda view: _pick(view, [*included, "id"])
    return lambda view: {name: value for name, value in view.items() if name not in excluded}


def included_fields(query: Mapping[str, str]) -> set[str] | None:
    """Return the top-level fields that ``include_attributes`` needs, None for all."""
    included = _split(query, "include_attributes")
    return {"id", *(name.partition(".")[0] for name in included)} if included else None


def _check_included(name: str) -> None:
    field, _, rest = name.partition(".")
    problem = ""
    if field not in STORED:
        problem = name
    elif field == "result" and rest:
        problem = f"Cannot resolve subfield or operator {rest} on the field result"
    if problem:
        raise FaultError(400, f"Invalid or unsupported include attribute specified: {problem}")


def _pick(view: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
    picked: dict[str, Any] = {}
    for name in names:
        value = _value_at(view, name)
        *parents, last = name.split(".")
        place = picked
        for parent in parents:
            place = place.setdefault(parent, {})
        if value is not None:
            place[last] = value
    return picked


def _value_at(view: Mapping[str, Any], path: str) -> Any:
    value: Any = view
    for name in path.split("."):
        value = value.get(name) if isinstance(value, Mapping) else None
    return value


def _candidates(store: Store, query: Mapping[str, str]) -> list[Execution]:
    """Return the executions to filter, newest first; an id or a trace tag uses an index."""
    if "id" in query:
        ids = query["id"].split(",")
        for one in ids:
            _check_object_id(one)
        found = {execution.id: execution for one in ids if (execution := store.find(one))}
        return sorted(found.values(), key=lambda one: one.start, reverse=True)
    tag = query.get("filter", "")
    if tag.startswith(TAG_FILTER) and " " not in tag:
        return store.with_trace_tag(tag.removeprefix(TAG_FILTER))[::-1]
    return store.visible()


def _predicates(query: Mapping[str, str]) -> list[Predicate]:
    predicates: list[Predicate] = []
    for name, value in query.items():
        if name in FILTERS:
            predicates.append(_equals(FILTERS[name], value))
        elif name in ("timestamp", "timestamp_gt", "timestamp_lt"):
            predicates.append(_compares_start(name, value))
        elif name == "filter":
            predicates += [_has_value(pair) for pair in value.split()]
    return predicates


def _equals(read: Callable[[Execution, float], Any], wanted: str) -> Predicate:
    return lambda one, now: bool(read(one, now) == wanted)


def _compares_start(name: str, value: str) -> Predicate:
    try:
        wanted = datetime.fromisoformat(value)
    except ValueError as error:
        raise FaultError(400, "Datetime value does not match expected format.") from error
    if wanted.tzinfo is None:
        wanted = wanted.replace(tzinfo=UTC)
    if name == "timestamp_gt":
        return lambda one, _now: one.wall.at(one.start) > wanted
    if name == "timestamp_lt":
        return lambda one, _now: one.wall.at(one.start) < wanted
    return lambda one, _now: one.wall.at(one.start) == wanted


def _has_value(pair: str) -> Predicate:
    path, colon, wanted = pair.partition(":")
    if not colon:
        raise FaultError(400, f'invalid format for filter "{pair}"')
    if path.partition(".")[0] not in STORED:
        raise FaultError(400, f'Cannot resolve field "{path}"')
    # The value is a string: `context.number:1` does not match the number 1
    # (get-executions-filter-context-int).
    return lambda one, now: bool(_value_at(one.view(now, show_secrets=True), path) == wanted)


def _check_object_id(text: str) -> None:
    if not OBJECT_ID.fullmatch(text):
        raise FaultError(
            400,
            f"{text!r} is not a valid ObjectId, it must be a 12-byte input or a "
            "24-character hex string",
        )


def _slice(rows: Sequence[Row], query: Mapping[str, str], limit: int | None) -> Sequence[Row]:
    offset = max(parse_integer(query, "offset") or 0, 0)
    return rows[offset:] if limit is None else rows[offset : offset + limit]


def parse_integer(query: Mapping[str, str], name: str) -> int | None:
    """Return an integer query parameter, None without it.

    Raises FaultError.
    """
    if name not in query:
        return None
    try:
        return int(query[name])
    except ValueError as error:
        raise FaultError(400, f'Parameter "{name}" is not of type integer') from error


def _split(query: Mapping[str, str], name: str) -> list[str]:
    return [item for item in query.get(name, "").split(",") if item]
