"""Status changes of inquiries and of the workflows that wait for them.

Recordings: inquiry-*. StackStorm's garbage collector expires an inquiry a minute or more after its
ttl. The workflow then ends ``succeeded``, although the tasks after the inquiry never ran.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from .executions import Execution
from .timeline import FINAL, StatusChange

RUNNER = "inquirer"
WAITING_STATUSES = ("pending", "paused")
GARBAGE_COLLECTOR_SECONDS = 60.0  # from the end of the ttl to the garbage collector's next run
GARBAGE_COLLECTOR_USER = "stanley"
RESUME_SECONDS = 0.1  # from resuming to running
NO_OUTPUT = {"output": None}


@dataclass(frozen=True, slots=True)
class Wait:
    """The time that an execution waits for a response; ``until`` None: without limit."""

    since: float
    until: float | None


def with_expiry(changes: Sequence[StatusChange], ttl: object) -> tuple[StatusChange, ...]:
    """Append the expiry to the status changes of an inquiry; ``ttl`` is in minutes."""
    last = changes[-1]
    if last.status != "pending" or not isinstance(ttl, int | float) or not ttl:
        return tuple(changes)
    at = last.at + ttl * 60 + GARBAGE_COLLECTOR_SECONDS
    return (*changes, StatusChange(at, "timeout", last.result, sets_size=True))


def current_wait(execution: Execution, at: float) -> Wait | None:
    """Return the first wait of an execution that is not over at ``at``."""
    changes = execution.timeline
    positions = [position for position, one in enumerate(changes) if one.status in WAITING_STATUSES]
    first = next(
        (
            position
            for position in positions
            if position + 1 == len(changes) or changes[position + 1].at > at
        ),
        None,
    )
    if first is None:
        return None
    until = changes[-1].at if changes[-1].status in FINAL else None
    return Wait(changes[first].at, until)


def waiting_changes(waits: Sequence[Wait], others_end: float) -> tuple[StatusChange, ...]:
    """Return the status changes of a workflow with these waits.

    ``others_end``: when the other tasks have ended.
    """
    paused_at = max([others_end, *(wait.since for wait in waits)])
    paused = StatusChange(paused_at, "paused", NO_OUTPUT, sets_size=True)
    if any(wait.until is None for wait in waits):
        return (paused,)
    expired_at = max(wait.until or 0 for wait in waits)
    if expired_at <= paused_at:
        return (StatusChange(paused_at, "succeeded", NO_OUTPUT, sets_size=True),)
    ended_at = expired_at + RESUME_SECONDS
    return (
        paused,
        StatusChange(expired_at, "resuming", NO_OUTPUT, sets_size=True),
        StatusChange(ended_at, "paused", NO_OUTPUT, sets_size=True),
        StatusChange(ended_at, "succeeded", NO_OUTPUT, sets_size=True),
    )


def respond(inquiry: Execution, response: Any, now: float) -> None:
    """End an open inquiry with a response; its expiry is removed."""
    past = tuple(inquiry.past_changes(now))
    shown = past[-1].result
    fields = shown if isinstance(shown, dict) else {}
    result = {**fields, "response": response}
    inquiry.timeline = (*past, StatusChange(now, "succeeded", result, sets_size=True))


def resume_while_open(workflow: Execution, now: float, *, user: str) -> None:
    """Resume a paused workflow with an open inquiry: it is ``resuming`` until the response."""
    workflow.context["resumed_by"] = user
    if workflow.status(now) == "paused":
        past = tuple(workflow.past_changes(now))
        workflow.timeline = (*past, StatusChange(now, "resuming", NO_OUTPUT, sets_size=True))
