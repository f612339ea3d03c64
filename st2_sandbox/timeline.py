"""The status changes of an execution, planned when it is created.

No timer changes an execution. Its timeline lists all status changes with their times, and a reader
sees those that are not in the future. A cancel replaces the future ones.
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
# No runner has the execution yet, so a cancel ends it at once.
BEFORE_RUNNING = frozenset({"requested", "scheduled", "delayed"})

# The statuses before an outcome, and when they begin as a share of the duration. The outcome
# `canceled` is a cancel by a concurrency policy, before a runner has the execution
# (get-execution-concurrency-canceled).
_USUAL_STATUSES = (("scheduled", 0.1), ("running", 0.2))
_STATUSES_BEFORE: dict[str, tuple[tuple[str, float], ...]] = {
    "requested": (),
    "scheduled": (),
    "delayed": (),
    "canceled": (("canceling", 0.1),),
    "running": _USUAL_STATUSES[:1],
}
_SHARE_AT_OUTCOME = {"scheduled": 0.1, "delayed": 0.1, "running": 0.2}


@dataclass(frozen=True, slots=True)
class StatusChange:
    """The execution has ``status`` from ``at`` on, in seconds on the sandbox's clock.

    ``result`` replaces the previous result (None: no result). ``sets_size``: StackStorm computes
    ``result_size`` at this change; at a user's cancel it does not.
    """

    at: float
    status: str
    result: object = None
    sets_size: bool = False


def plan_changes(
    outcome: str, *, start: float, duration: float, result: object = None, delay: float = 0.0
) -> tuple[StatusChange, ...]:
    """Return the status changes of an execution that starts at ``start`` and ends in ``outcome``.

    ``delay``: the seconds that the client asked StackStorm to wait before the start.
    """
    changes = [StatusChange(start, "requested")]
    if delay:
        begin = start + delay
        changes += [
            StatusChange(start + min(delay, 0.05), "delayed"),
            StatusChange(begin, "requested"),
        ]
        start = begin
    for status, share in _STATUSES_BEFORE.get(outcome, _USUAL_STATUSES):
        changes.append(StatusChange(start + duration * share, status))
    if outcome != "requested":
        at = start + duration * _SHARE_AT_OUTCOME.get(outcome, 1.0)
        changes.append(StatusChange(at, outcome, result, sets_size=result is not None))
    return tuple(changes)


def end_time(changes: Sequence[StatusChange]) -> float | None:
    """Return the time of the last status change if its status is final, else None."""
    return changes[-1].at if changes[-1].status in FINAL else None
