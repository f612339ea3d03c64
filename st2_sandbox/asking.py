"""Inquiries in the plans of executions: when they are open, expire, and hold their workflow up.

Recorded: inquiry-*. An inquiry expires a minute or more after its ttl, and its workflow then ends
``succeeded`` although nothing that was to follow the answer has run.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from .executions import Execution
from .timeline import FINAL, Moment

RUNNER = "inquirer"
WAITS = ("pending", "paused")
COLLECTOR_SECONDS = 60.0  # from the end of the ttl until the garbage collector's pass
COLLECTOR_USER = "stanley"
RESUME_SECONDS = 0.1  # from resuming to running
NO_OUTPUT = {"output": None}


@dataclass(frozen=True, slots=True)
class Wait:
    """An execution waits from ``since`` until ``until``; None: for as long as nobody answers."""

    since: float
    until: float | None


def until_expiry(moments: Sequence[Moment], ttl: object) -> tuple[Moment, ...]:
    """Return the moments of an inquiry with its expiry; ``ttl`` in minutes."""
    last = moments[-1]
    if last.status != "pending" or not isinstance(ttl, int | float) or not ttl:
        return tuple(moments)
    at = last.at + ttl * 60 + COLLECTOR_SECONDS
    return (*moments, Moment(at, "timeout", last.result, is_sized=True))


def wait_of(execution: Execution, at: float) -> Wait | None:
    """Return the wait of an execution that is not over at ``at``."""
    moments = execution.moments
    places = [place for place, one in enumerate(moments) if one.status in WAITS]
    if not places:
        return None
    first = next(
        (place for place in places if place + 1 == len(moments) or moments[place + 1].at > at),
        None,
    )
    if first is None:
        return None
    until = moments[-1].at if moments[-1].status in FINAL else None
    return Wait(moments[first].at, until)


def waiting_workflow(waits: Sequence[Wait], others_end: float) -> tuple[Moment, ...]:
    """Return what becomes of a workflow whose other tasks have ended by ``others_end``."""
    paused_at = max([others_end, *(wait.since for wait in waits)])
    paused = Moment(paused_at, "paused", NO_OUTPUT, is_sized=True)
    if any(wait.until is None for wait in waits):
        return (paused,)
    expired_at = max(wait.until or 0 for wait in waits)
    if expired_at <= paused_at:
        return (Moment(paused_at, "succeeded", NO_OUTPUT, is_sized=True),)
    ended_at = expired_at + RESUME_SECONDS
    return (
        paused,
        Moment(expired_at, "resuming", NO_OUTPUT, is_sized=True),
        Moment(ended_at, "paused", NO_OUTPUT, is_sized=True),
        Moment(ended_at, "succeeded", NO_OUTPUT, is_sized=True),
    )


def answered(inquiry: Execution, response: Any, now: float) -> None:
    """Replace what was still to come of an open inquiry by its answer."""
    passed = tuple(inquiry.passed(now))
    shown = passed[-1].result
    question = shown if isinstance(shown, dict) else {}
    result = {**question, "response": response}
    inquiry.moments = (*passed, Moment(now, "succeeded", result, is_sized=True))


def hang(workflow: Execution, now: float, *, user: str) -> None:
    """Resume a paused workflow whose inquiry is open: it stays ``resuming`` until the answer."""
    workflow.context["resumed_by"] = user
    if workflow.status(now) == "paused":
        passed = tuple(workflow.passed(now))
        workflow.moments = (*passed, Moment(now, "resuming", NO_OUTPUT, is_sized=True))
