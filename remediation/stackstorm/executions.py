"""Executions as StackStorm tells them, and its words for their states."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

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
    """How far an execution is and its result; see Execution for that."""

    result: object = field(repr=False)


@dataclass(frozen=True, slots=True)
class TracedExecution(ExecutionState):
    """How far an execution is, and where it comes from. ``context``: StackStorm's, whole."""

    context: Mapping[str, object] = field(repr=False)

    @property
    def trace_tag(self) -> str:
        """The tag given at its launch; executions that it caused may bear it too."""
        return as_text(as_object(self.context.get("trace_context")).get("trace_tag"))

    @property
    def is_top_level(self) -> bool:
        """Whether a POST of ours can have made it: no workflow, retry policy or re-run did."""
        return not (
            self.context.get("parent")
            or as_object(self.context.get("policies")).get("retry")
            or self.context.get("re-run")
        )


@dataclass(frozen=True, slots=True)
class Execution(TracedExecution):
    """A whole execution.

    ``result``: any JSON type, its shape depends on the runner; None when there is none (yet).
    ``parameters``: as StackStorm shows them, its secret ones masked. Neither is in the repr, as
    what an action printed may be secret. ``parent_id``, ``task_name``: of the workflow that it
    is a task of, else empty. ``children``: the ids of a workflow's tasks.
    """

    liveaction_id: str
    action_ref: str
    runner_name: str
    parameters: Mapping[str, object] = field(repr=False)
    result: object = field(repr=False)
    web_url: str
    log: tuple[StatusChange, ...]
    parent_id: str
    task_name: str
    children: tuple[str, ...]


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
    return ExecutionResult(**_state(value), result=as_object(value).get("result"))


def read_traced(value: object) -> TracedExecution:
    """Return an execution asked for with its context; ValueError if it is none."""
    return TracedExecution(**_state(value), context=as_object(as_object(value).get("context")))


def read_execution(value: object) -> Execution:
    """Return a whole execution; ValueError if it is none."""
    state = _state(value)
    body = as_object(value)
    context = as_object(body.get("context"))
    return Execution(
        **state,
        context=context,
        liveaction_id=_name_of(body.get("liveaction"), "id"),
        action_ref=_name_of(body.get("action"), "ref"),
        runner_name=_name_of(body.get("runner"), "name"),
        parameters=as_object(body.get("parameters")),
        result=body.get("result"),
        web_url=as_text(body.get("web_url")),
        log=tuple(
            StatusChange(as_text(entry.get("status")), as_time(entry.get("timestamp")))
            for entry in map(as_object, as_list(body.get("log")))
        ),
        parent_id=as_text(body.get("parent")) or _parent_id(context),
        task_name=_task_name(context),
        children=tuple(filter(None, map(as_text, as_list(body.get("children"))))),
    )


def read_cancel(value: object) -> CancelAnswer:
    """Return the answer to a DELETE; ValueError if it is none.

    StackStorm answers 200 with an error text to what it will not cancel.
    """
    refusal = _NOT_CANCELED.search(as_text(as_object(value).get("faultstring")))
    if refusal:
        return CancelAnswer(refusal["status"], is_accepted=False)
    return CancelAnswer(read_state(value).status, is_accepted=True)


def _state(value: object) -> dict[str, Any]:
    body = as_object(value)
    if not as_text(body.get("id")):
        raise ValueError("the answer holds no execution")
    return {
        "id": as_text(body.get("id")),
        "status": as_text(body.get("status")),
        "start_timestamp": as_time(body.get("start_timestamp")),
        "end_timestamp": as_time(body.get("end_timestamp")),
    }


def _name_of(value: object, key: str) -> str:
    """Return ``value[key]``; some versions of StackStorm send the plain name instead."""
    return as_text(value) or as_text(as_object(value).get(key))


def _parent_id(context: Mapping[str, object]) -> str:
    return as_text(as_object(context.get("parent")).get("execution_id"))


def _task_name(context: Mapping[str, object]) -> str:
    # An orquesta task is named by its workflow, a task of an action chain by the chain.
    orquesta, chain = as_object(context.get("orquesta")), as_object(context.get("chain"))
    return as_text(orquesta.get("task_name")) or as_text(chain.get("name"))
