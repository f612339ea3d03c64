"""One execution: its request, its timeline, and the API's view of it at a given time."""

import json
import os
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from .catalog import Action
from .results import cancel_result
from .timeline import BEFORE_RUNNING, FINAL, StatusChange, end_time

CANCEL_SECONDS = 0.05  # from canceling to canceled, for an action that is not a workflow
MASK = "********"
# Keys of the context, and the status from which they are shown.
CONTEXT_SHOWN_FROM = (
    ("workflow_execution", "running"),
    ("resumed_by", "resuming"),
    ("paused_by", "pausing"),
    ("vars", "pausing"),
)
WORKFLOW_RUNNERS = ("orquesta", "action-chain")


class NotCancelableError(Exception):
    """StackStorm does not cancel an execution in this status; the text is StackStorm's."""


@dataclass(frozen=True, slots=True)
class WallClock:
    """Converts seconds on the sandbox's clock, which has an arbitrary zero, to dates."""

    began_at: datetime
    zero: float

    def at(self, seconds: float) -> datetime:
        """Return the date and time of ``seconds`` on the sandbox's clock."""
        return self.began_at + timedelta(seconds=seconds - self.zero)

    def stamp(self, seconds: float) -> str:
        """Return it in StackStorm's format: 2026-11-23T05:31:45.477486Z."""
        return self.at(seconds).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


@dataclass(slots=True, eq=False)
class Execution:
    """An execution and its planned timeline; times are seconds on the sandbox's clock.

    Not thread-safe: hold the store's lock.
    """

    id: str
    liveaction_id: str
    action: Action
    parameters: Mapping[str, Any]
    context: dict[str, Any]
    timeline: tuple[StatusChange, ...]
    wall: WallClock
    web_url: str
    notify: Mapping[str, Any] = field(default_factory=dict)
    delay_milliseconds: int = 0
    parent: "Execution | None" = None
    task_execution_id: str = ""
    # Of a callback execution: its rule, trigger and trigger instance.
    rule_fields: Mapping[str, Any] = field(default_factory=dict)
    children: "list[Execution]" = field(default_factory=list)
    is_dropped: bool = False  # a task that its workflow no longer starts
    workflow_plan: Any = None  # of a workflow: its outcome and inputs, to resume it

    @property
    def start(self) -> float:
        """When it becomes visible."""
        return self.timeline[0].at

    @property
    def end(self) -> float | None:
        """When it becomes final, None if it never does."""
        return end_time(self.timeline)

    @property
    def is_workflow(self) -> bool:
        """Whether it is a workflow or an action chain."""
        return self.action.runner_name in WORKFLOW_RUNNERS

    @property
    def trace_tag(self) -> str:
        """The trace tag of its root's POST, '' without one."""
        root = self
        while root.parent is not None:
            root = root.parent
        return trace_tag_in(root.context)

    def past_changes(self, now: float) -> Sequence[StatusChange]:
        """Return the status changes until ``now``; none before it is visible."""
        return [change for change in self.timeline if change.at <= now]

    def status(self, now: float) -> str:
        """Return the status at ``now``."""
        return self.past_changes(now)[-1].status

    def descendants(self, now: float) -> "list[Execution]":
        """Return its tasks that are visible at ``now``, and their tasks."""
        found = []
        for child in self.children:
            if child.start <= now:
                found += [child, *child.descendants(now)]
        return found

    def cancel(self, now: float, *, user: str) -> None:
        """Replace the rest of the timeline as StackStorm's cancel does.

        Raises NotCancelableError.
        """
        status = self.status(now)
        if status in ("canceled", "canceling"):
            return
        if status in FINAL or status == "pending":
            raise NotCancelableError(f"Action cannot be canceled. State = {status}.")
        self.context["cancelled_by"] = user
        message = cancel_result(user)
        if status in BEFORE_RUNNING:
            self._replan(now, StatusChange(now, "canceled", message))
        elif self.is_workflow:
            self._cancel_workflow(now, message)
        else:
            end = StatusChange(now + CANCEL_SECONDS, "canceled", message, sets_size=True)
            self._replan(now, StatusChange(now, "canceling", message), end)

    def _cancel_workflow(self, now: float, message: Mapping[str, str]) -> None:
        # A canceled workflow starts no more tasks. It waits for the running tasks, except for an
        # inquiry, which stays open.
        for child in self.children:
            child.is_dropped = child.start > now
        self.children = [child for child in self.children if not child.is_dropped]
        for child in self.children:
            if child.is_workflow and child.status(now) == "paused":
                child._cancel_workflow(now, message)
        if self.status(now) in ("paused", "resuming"):
            self._replan(now, StatusChange(now, "canceled", message))
            return
        self._replan(now, StatusChange(now, "canceling", message))
        inquiries = [
            child for child in self.children if any(m.status == "pending" for m in child.timeline)
        ]
        ends = [child.end for child in self.children if child not in inquiries]
        if None not in ends:
            last = max([now + CANCEL_SECONDS, *(end for end in ends if end is not None)])
            self.timeline += (StatusChange(last, "canceled", {"output": None}, sets_size=True),)

    def _replan(self, now: float, *changes: StatusChange) -> None:
        self.timeline = (*self.past_changes(now), *changes)

    def view(
        self,
        now: float,
        *,
        until: StatusChange | None = None,
        show_secrets: bool = False,
        fields: Collection[str] | None = None,
    ) -> dict[str, Any]:
        """Return the API's view of the execution at ``now``, without empty values.

        ``until``: the last status change to include, if several have the same time. ``fields``:
        the fields to return, None for all.
        """
        past = self.past_changes(now)
        if until is not None:
            past = past[: past.index(until) + 1]
        # Most lists request a few fields, so compute only those.
        values: dict[str, Callable[[], Any]] = {
            **{name: partial(self.rule_fields.get, name) for name in self.rule_fields},
            "action": lambda: self.action.view,
            "runner": lambda: self.action.runner,
            "liveaction": lambda: self._liveaction(past, self._shown_parameters(show_secrets)),
            "workflow_execution": self._workflow_execution,
            "task_execution": lambda: self.task_execution_id if self.parent else None,
            "status": lambda: past[-1].status,
            "start_timestamp": lambda: self.wall.stamp(self.start),
            "end_timestamp": lambda: self._end_stamp(past),
            "parameters": lambda: self._shown_parameters(show_secrets),
            "result_size": lambda: next(
                (_size_of(m.result) for m in reversed(past) if m.sets_size), None
            ),
            "context": lambda: self._context(past),
            "parent": lambda: self.parent.id if self.parent else None,
            "children": lambda: [child.id for child in self.children if child.start <= now],
            "log": lambda: [{"timestamp": self._log_stamp(m.at), "status": m.status} for m in past],
            "delay": lambda: self.delay_milliseconds,
            "web_url": lambda: self.web_url,
            "id": lambda: self.id,
            "result": lambda: past[-1].result,
            "elapsed_seconds": lambda: self._elapsed(past),
        }
        names = values if fields is None else [name for name in values if name in fields]
        shown = {name: values[name]() for name in names}
        return {name: value for name, value in shown.items() if value not in (None, "", [], {}, 0)}

    def _shown_parameters(self, show_secrets: bool) -> Mapping[str, Any]:
        return self.parameters if show_secrets else mask_secrets(self.parameters, self.action)

    def _liveaction(
        self, past: Sequence[StatusChange], parameters: Mapping[str, Any]
    ) -> dict[str, Any]:
        has_run = any(change.status == "running" for change in past)
        shown = {
            "action": self.action.ref,
            "action_is_workflow": self.is_workflow,
            "parameters": parameters,
            "callback": {},
            "runner_info": {"hostname": "sandbox", "pid": os.getpid()} if has_run else {},
        }
        if self.notify:
            shown["notify"] = self.notify
        return shown | {"id": self.liveaction_id}

    def _workflow_execution(self) -> Any:
        return self.parent.context.get("workflow_execution") if self.parent else None

    def _context(self, past: Sequence[StatusChange]) -> dict[str, Any]:
        statuses = {change.status for change in past}
        hidden = [name for name, status in CONTEXT_SHOWN_FROM if status not in statuses]
        return {name: value for name, value in self.context.items() if name not in hidden}

    def _end_stamp(self, past: Sequence[StatusChange]) -> str | None:
        # StackStorm sets no end for `abandoned` (get-execution-abandoned) and for an expired
        # inquiry (inquiry-ttl-expired-plain).
        last = past[-1].status
        is_expired = last == "timeout" and any(one.status == "pending" for one in past)
        if last not in FINAL or last == "abandoned" or is_expired:
            return None
        return self.wall.stamp(past[-1].at)

    def _elapsed(self, past: Sequence[StatusChange]) -> float | None:
        if self._end_stamp(past) is None:
            return None
        return max(round(past[-1].at - self.start, 6), 0.000001)

    def _log_stamp(self, at: float) -> str:
        return self.wall.stamp(at)[:-4] + "000Z"


def _size_of(result: object) -> int:
    return len(json.dumps(result, separators=(",", ":")))


def trace_tag_in(context: object) -> str:
    """Return the trace tag in a context sent by a client, '' without a valid one."""
    trace = context.get("trace_context") if isinstance(context, Mapping) else None
    tag = trace.get("trace_tag") if isinstance(trace, Mapping) else None
    return tag if isinstance(tag, str) else ""


def mask_secrets(parameters: Mapping[str, Any], action: Action) -> dict[str, Any]:
    """Return ``parameters`` with the secret ones masked, also nested ones."""
    return _mask_values(parameters, action.parameters)


def _mask_values(values: Mapping[str, Any], schemas: Mapping[str, Any]) -> dict[str, Any]:
    shown = {}
    for name, value in values.items():
        schema = schemas.get(name, {})
        if schema.get("secret"):
            value = MASK
        elif isinstance(value, dict):
            value = _mask_values(value, schema.get("properties", {}))
        shown[name] = value
    return shown


def now_in_utc() -> datetime:
    """Return the current date and time in UTC."""
    return datetime.now(tz=UTC)
