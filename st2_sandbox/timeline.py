"""The life of an execution, planned when it is made: time only reveals it.

No timer moves an execution on. Its moments stand in a list from the beginning, and whoever reads
it sees those that have passed. A cancel rewrites the part that has not.
"""

from collections.abc import Sequence
from dataclasses import dataclass

STATUSES = (
    "requested",
    "scheduled",
    "delayed",
    "running",
    "succeeded",
    "failed",
    "timeout",
    "abandoned",
    "canceling",
    "canceled",
    "pending",
    "pausing",
    "paused",
    "resuming",
)
FINAL = frozenset({"succeeded", "failed", "timeout", "abandoned", "canceled"})
# Before a runner has an execution a cancel ends it at once.
BEFORE_RUNNING = frozenset({"requested", "scheduled", "delayed"})

# What an execution shows on its way to an outcome, and after which share of its duration.
# StackStorm itself cancels by a concurrency policy, before a runner has the execution
# (get-execution-concurrency-canceled).
_USUAL_WAY = (("scheduled", 0.1), ("running", 0.2))
_WAYS: dict[str, tuple[tuple[str, float], ...]] = {
    "requested": (),
    "scheduled": (),
    "delayed": (),
    "canceled": (("canceling", 0.1),),
    "running": _USUAL_WAY[:1],
}
_ARRIVAL = {"scheduled": 0.1, "delayed": 0.1, "running": 0.2}


@dataclass(frozen=True, slots=True)
class StatusChange:
    """From ``at`` on, in seconds of the sandbox's clock, the execution shows ``status``.

    ``result`` replaces the result shown before (None: shows none); ``is_sized`` says whether
    StackStorm computes ``result_size`` at this point, which a user's cancel does not.
    """

    at: float
    status: str
    result: object = None
    sets_size: bool = False


def plan_changes(
    outcome: str, *, start: float, duration: float, result: object = None, delay: float = 0.0
) -> tuple[StatusChange, ...]:
    """Return the moments of an execution that begins at ``start`` and ends in ``outcome``.

    ``delay`` is the seconds that the client asked StackStorm to wait before it begins.
    """
    changes = [StatusChange(start, "requested")]
    if delay:
        begin = start + delay
        changes += [
            StatusChange(start + min(delay, 0.05), "delayed"),
            StatusChange(begin, "requested"),
        ]
        start = begin
    for status, share in _WAYS.get(outcome, _USUAL_WAY):
        changes.append(StatusChange(start + duration * share, status))
    if outcome != "requested":
        at = start + duration * _ARRIVAL.get(outcome, 1.0)
        changes.append(StatusChange(at, outcome, result, sets_size=result is not None))
    return tuple(changes)


def end_time(changes: Sequence[StatusChange]) -> float | None:
    """Return when the last moment comes if it is a final one, else None."""
    return changes[-1].at if changes[-1].status in FINAL else None
