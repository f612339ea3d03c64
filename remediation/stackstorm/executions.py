"""StackStorm's executions and their statuses."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from remediation.stackstorm.actions import ActionInfo, read_action_of_execution
from remediation.stackstorm.typed_json import as_list, as_object, as_text, as_time

# A status that is not in KNOWN_STATUSES may be newer than this list, and is not final.
FINAL_STATUSES = frozenset({"succeeded", "failed", "timeout", "canceled", "abandoned"})
KNOWN_STATUSES = FINAL_STATUSES | {
    "requested",
    "scheduled",
    "delayed",
    "running",
    "canceling",
    "pausing",
    "paused",
    "resuming",
    "pending",
}
# A DELETE has no effect in these: open inquiries cannot be canceled, the others need no cancel.
UNCANCELABLE_STATUSES = FINAL_STATUSES | {"pending", "canceling"}

# StackStorm's ids have 24 hex digits. A longer one would not fit into our column.
_ID = re.compile(r"[\w.-]{1,100}", re.ASCII)
_NOT_CANCELED = re.compile(r"^Action cannot be canceled\. State = (?P<status>[a-z_]+)")


@dataclass(frozen=True, slots=True)
class StatusChange:
    """One entry of an execution's log; ``at`` is None if its time is unreadable."""

    status: str
    at: datetime | None


@dataclass(frozen=True, slots=True)
class ExecutionState:
    """The state of an execution: StackStorm's status, and times of StackStorm's clock."""

    id: str
    status: str
    start_timestamp: datetime | None
    end_timestamp: datetime | None


@dataclass(frozen=True, slots=True)
class ExecutionResult(ExecutionState):
    """The state of an execution with its result and ``children`` (see Execution)."""

    result: object = field(repr=False)
    children: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class TracedExecution(ExecutionState):
    """The state of an execution and its origin.

    ``context``: StackStorm's complete context. ``parent_id``: of its workflow, or empty.
    ``is_from_rule``: the response names a rule or a trigger outside the context.
    """

    action_ref: str
    parent_id: str
    is_from_rule: bool
    context: Mapping[str, object] = field(repr=False)

    @property
    def trace_tag(self) -> str:
        """The trace tag of its launch, which executions that it caused may have too."""
        return as_text(as_object(self.context.get("trace_context")).get("trace_tag"))

    @property
    def rerun_of(self) -> str:
        """The id of the execution that this one is a re-run of, or empty."""
        return as_text(as_object(self.context.get("re-run")).get("ref"))

    @property
    def user(self) -> str:
        """The StackStorm user who started it."""
        return as_text(self.context.get("user"))

    @property
    def is_top_level(self) -> bool:
        """Whether a client's POST created it, not a workflow, rule, policy or re-run.

        An execution of a rule inherits the trace tag of the execution that it reports.
        """
        return not (
            self.parent_id
            or self.is_from_rule
            or self.context.get("parent")
            or self.context.get("rule")
            or self.context.get("trigger_instance")
            or as_object(self.context.get("policies")).get("retry")
            or self.context.get("re-run")
        )


@dataclass(frozen=True, slots=True)
class RerunExecution(TracedExecution):
    """The state of a re-run, its origin and the URL of its web page."""

    web_url: str


@dataclass(frozen=True, slots=True)
class Execution(TracedExecution):
    """A complete execution.

    ``result``: any JSON, whose structure depends on the runner; None without one. ``parameters``:
    as StackStorm shows them, with secrets masked. Both may contain secrets and are not in the
    repr. ``task_name``: of a task of a workflow, or empty. ``children``: ids of a workflow's tasks.
    """

    liveaction_id: str
    runner_name: str
    parameters: Mapping[str, object] = field(repr=False)
    result: object = field(repr=False)
    web_url: str
    log: tuple[StatusChange, ...]
    task_name: str
    children: tuple[str, ...]
    shown_action: object = field(default=None, repr=False, compare=False)
    shown_runner: object = field(default=None, repr=False, compare=False)

    @property
    def action(self) -> ActionInfo | None:
        """The action that it was created from, at that time; None if it is not shown."""
        return read_action_of_execution(self.shown_action, self.shown_runner)


@dataclass(frozen=True, slots=True)
class CancelResult:
    """The result of a request to cancel.

    ``is_accepted``: StackStorm cancels the execution or has canceled it. It may still end in
    another status, and the command may continue. Otherwise ``status`` is the reason.
    """

    status: str
    is_accepted: bool

    @property
    def already_final(self) -> bool:
        """Whether the execution had already ended."""
        return not self.is_accepted and self.status in FINAL_STATUSES


def read_state(value: object) -> ExecutionState:
    """Read the state of an execution. All readers raise ValueError for anything else."""
    return ExecutionState(**_state(value))


def read_result(value: object) -> ExecutionResult:
    """Read an execution with its result."""
    body = as_object(value)
    return ExecutionResult(
        **_state(value), result=body.get("result"), children=_texts(body.get("children"))
    )


def read_traced(value: object) -> TracedExecution:
    """Read an execution with its action and context."""
    return TracedExecution(**_origin(value))


def read_rerun(value: object) -> RerunExecution:
    """Read a re-run with its context and web page."""
    return RerunExecution(**_origin(value), web_url=as_text(as_object(value).get("web_url")))


def read_execution(value: object) -> Execution:
    """Read a complete execution."""
    origin = _origin(value)
    body = as_object(value)
    return Execution(
        **origin,
        liveaction_id=_name_of(body.get("liveaction"), "id")[:100],
        runner_name=_name_of(body.get("runner"), "name"),
        parameters=as_object(body.get("parameters")),
        result=body.get("result"),
        web_url=as_text(body.get("web_url")),
        log=tuple(
            StatusChange(as_text(entry.get("status")), as_time(entry.get("timestamp")))
            for entry in map(as_object, as_list(body.get("log")))
        ),
        task_name=_task_name(origin["context"]),
        children=_texts(body.get("children")),
        shown_action=body.get("action"),
        shown_runner=body.get("runner"),
    )


def read_cancel(value: object, execution_id: str) -> CancelResult:
    """Read the response to a DELETE of this execution.

    StackStorm responds 200 with an error text if it cannot cancel the execution.
    """
    refusal = _NOT_CANCELED.search(as_text(as_object(value).get("faultstring")))
    if refusal:
        return CancelResult(refusal["status"], is_accepted=False)
    state = read_state(value)
    if state.id != execution_id:
        raise ValueError(f"the response is about the execution {state.id}")
    return CancelResult(state.status, is_accepted=True)


def _state(value: object) -> dict[str, Any]:
    body = as_object(value)
    if not _ID.fullmatch(as_text(body.get("id"))) or not as_text(body.get("status")):
        raise ValueError("the response has no execution")
    return {
        "id": as_text(body.get("id")),
        "status": as_text(body.get("status")),
        "start_timestamp": as_time(body.get("start_timestamp")),
        "end_timestamp": as_time(body.get("end_timestamp")),
    }


def _origin(value: object) -> dict[str, Any]:
    body = as_object(value)
    context = as_object(body.get("context"))
    return {
        **_state(value),
        "action_ref": _name_of(body.get("action"), "ref"),
        "parent_id": as_text(body.get("parent")) or _parent_id(context),
        "is_from_rule": bool(body.get("rule") or body.get("trigger_instance")),
        "context": context,
    }


def _texts(value: object) -> tuple[str, ...]:
    return tuple(filter(None, map(as_text, as_list(value))))


def _name_of(value: object, key: str) -> str:
    """Return ``value[key]``; some versions of StackStorm send the plain name instead."""
    return as_text(value) or as_text(as_object(value).get(key))


def _parent_id(context: Mapping[str, object]) -> str:
    return as_text(as_object(context.get("parent")).get("execution_id"))


def _task_name(context: Mapping[str, object]) -> str:
    # An Orquesta task is named by its workflow, a task of an action chain by the chain.
    orquesta, chain = as_object(context.get("orquesta")), as_object(context.get("chain"))
    return as_text(orquesta.get("task_name")) or as_text(chain.get("name"))
