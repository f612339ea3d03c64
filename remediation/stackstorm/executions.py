"""Executions as StackStorm tells them, and its words for their states."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from remediation.stackstorm.actions import ActionInfo, read_action_of_execution
from remediation.stackstorm.wire import as_list, as_object, as_text, as_time

# Never left again. A word missing in KNOWN_STATUSES can be newer than this list: not final.
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
# A DELETE changes nothing in these: an open inquiry cannot be canceled, the others need no cancel.
UNCANCELABLE_STATUSES = FINAL_STATUSES | {"pending", "canceling"}

# StackStorm's are 24 hex digits; what is longer than a column of ours could not be stored.
_ID = re.compile(r"[\w.-]{1,100}", re.ASCII)
_NOT_CANCELED = re.compile(r"^Action cannot be canceled\. State = (?P<status>[a-z_]+)")


@dataclass(frozen=True, slots=True)
class StatusChange:
    """One entry of an execution's log; ``at`` is None when StackStorm's stamp is unreadable."""

    status: str
    at: datetime | None


@dataclass(frozen=True, slots=True)
class ExecutionState:
    """How far an execution is. ``status``: StackStorm's own word; times: StackStorm's clock."""

    id: str
    status: str
    start_timestamp: datetime | None
    end_timestamp: datetime | None


@dataclass(frozen=True, slots=True)
class ExecutionResult(ExecutionState):
    """How far an execution is, its result and its ``children``; see Execution for those."""

    result: object = field(repr=False)
    children: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class TracedExecution(ExecutionState):
    """The status of an execution and its origin.

    ``context``: StackStorm's, complete. ``parent_id``: of the workflow that it is a task of, else
    empty. ``is_from_rule``: the answer names a rule or a trigger beside the context.
    """

    action_ref: str
    parent_id: str
    is_from_rule: bool
    context: Mapping[str, object] = field(repr=False)

    @property
    def trace_tag(self) -> str:
        """The tag given at its launch; executions that it caused may bear it too."""
        return as_text(as_object(self.context.get("trace_context")).get("trace_tag"))

    @property
    def rerun_of(self) -> str:
        """The id of the execution that somebody ran again by this one, else empty."""
        return as_text(as_object(self.context.get("re-run")).get("ref"))

    @property
    def user(self) -> str:
        """StackStorm's name of the user that started it."""
        return as_text(self.context.get("user"))

    @property
    def is_top_level(self) -> bool:
        """Whether a client's POST can have made it: no workflow, rule, policy or re-run did.

        An execution that a rule starts inherits the trace tag of the execution that it reports.
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
    """The status of a re-run and its origin, with the address of its web page."""

    web_url: str


@dataclass(frozen=True, slots=True)
class Execution(TracedExecution):
    """A whole execution.

    ``result``: any JSON type, its shape depends on the runner; None when there is none (yet).
    ``parameters``: as StackStorm shows them, its secret ones masked. Neither is in the repr, as
    what an action printed may be secret. ``task_name``: of a task of a workflow, else empty.
    ``children``: the ids of a workflow's tasks.
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
        """The action that StackStorm made it of, as it was then; None when it is not shown."""
        return read_action_of_execution(self.shown_action, self.shown_runner)


@dataclass(frozen=True, slots=True)
class CancelAnswer:
    """What became of a request to cancel.

    ``is_accepted``: StackStorm cancels it, or already did; the outcome may still be another, and
    the command of a canceled action may run on. Else ``status`` is why it would not.
    """

    status: str
    is_accepted: bool

    @property
    def already_final(self) -> bool:
        """Whether there was nothing left to cancel, as it had ended by itself."""
        return not self.is_accepted and self.status in FINAL_STATUSES


def read_state(value: object) -> ExecutionState:
    """Return an execution asked for with a few attributes; ValueError if it is none."""
    return ExecutionState(**_state(value))


def read_result(value: object) -> ExecutionResult:
    """Return an execution asked for with its result; ValueError if it is none."""
    body = as_object(value)
    return ExecutionResult(
        **_state(value), result=body.get("result"), children=_texts(body.get("children"))
    )


def read_traced(value: object) -> TracedExecution:
    """Return an execution asked for with its action and context; ValueError if it is none."""
    return TracedExecution(**_origin(value))


def read_rerun(value: object) -> RerunExecution:
    """Return a re-run asked for with its context and web page; ValueError if it is none."""
    return RerunExecution(**_origin(value), web_url=as_text(as_object(value).get("web_url")))


def read_execution(value: object) -> Execution:
    """Return a whole execution; ValueError if it is none."""
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


def read_cancel(value: object, execution_id: str) -> CancelAnswer:
    """Return the answer to a DELETE of this execution; ValueError if it is none.

    StackStorm answers 200 with an error text to what it will not cancel.
    """
    refusal = _NOT_CANCELED.search(as_text(as_object(value).get("faultstring")))
    if refusal:
        return CancelAnswer(refusal["status"], is_accepted=False)
    state = read_state(value)
    if state.id != execution_id:
        raise ValueError(f"the answer is about the execution {state.id}")
    return CancelAnswer(state.status, is_accepted=True)


def _state(value: object) -> dict[str, Any]:
    body = as_object(value)
    if not _ID.fullmatch(as_text(body.get("id"))) or not as_text(body.get("status")):
        raise ValueError("the answer holds no execution")
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
    # An orquesta task is named by its workflow, a task of an action chain by the chain.
    orquesta, chain = as_object(context.get("orquesta")), as_object(context.get("chain"))
    return as_text(orquesta.get("task_name")) or as_text(chain.get("name"))
