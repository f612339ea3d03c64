"""Inquiries in the plans of executions: when they are open, expire, and hold their workflow up.

Recorded: inquiry-*. An inquiry expires a minute or more after its ttl, and its workflow then ends
``succeeded`` although nothing that was to follow the answer has run.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from .executions import Execution
from .timeline import FINAL, StatusChange

RUNNER = "inquirer"
WAITING_STATUSES = ("pending", "paused")
GARBAGE_COLLECTOR_SECONDS = 60.0  # from the end of the ttl until the garbage collector's pass
GARBAGE_COLLECTOR_USER = "stanley"
RESUME_SECONDS = 0.1  # from resuming to running
NO_OUTPUT = {"output": None}


@dataclass(frozen=True, slots=True)
class Wait:
    """An execution waits from ``since`` until ``until``; None: for as long as nobody answers."""

    since: float
    until: float | None


def with_expiry(changes: Sequence[StatusChange], ttl: object) -> tuple[StatusChange, ...]:
    """Return the moments of an inquiry with its expiry; ``ttl`` in minutes."""
    last = changes[-1]
    if last.status != "pending" or not isinstance(ttl, int | float) or not ttl:
        return tuple(changes)
    at = last.at + ttl * 60 + GARBAGE_COLLECTOR_SECONDS
    return (*changes, StatusChange(at, "timeout", last.result, sets_size=True))


def current_wait(execution: Execution, at: float) -> Wait | None:
    """Return the wait of an execution that is not over at ``at``."""
    changes = execution.timeline
    places = [place for place, one in enumerate(changes) if one.status in WAITING_STATUSES]
    if not places:
        return None
    first = next(
        (place for place in places if place + 1 == len(changes) or changes[place + 1].at > at),
        None,
    )
    if first is None:
        return None
    until = changes[-1].at if changes[-1].status in FINAL else None
    return Wait(changes[first].at, until)


def waiting_changes(waits: Sequence[Wait], others_end: float) -> tuple[StatusChange, ...]:
    """Return what becomes of a workflow whose other tasks have ended by ``others_end``."""
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
    """Replace what was still to come of an open inquiry by its answer."""
    passed = tuple(inquiry.passed(now))
    shown = passed[-1].result
    question = shown if isinstance(shown, dict) else {}
    result = {**question, "response": response}
    inquiry.timeline = (*passed, StatusChange(now, "succeeded", result, sets_size=True))


def resume_while_open(workflow: Execution, now: float, *, user: str) -> None:
    """Resume a paused workflow whose inquiry is open: it stays ``resuming`` until the answer."""
    workflow.context["resumed_by"] = user
    if workflow.status(now) == "paused":
        passed = tuple(workflow.passed(now))
        workflow.timeline = (*passed, StatusChange(now, "resuming", NO_OUTPUT, sets_size=True))
