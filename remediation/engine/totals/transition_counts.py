"""What transitions add to the totals."""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from remediation.engine.totals.definitions import (
    EXECUTIONS_ENDED,
    FIRST_CALL,
    RUNS_CREATED,
    RUNS_ENDED,
    TIME_TO_REMEDIATE,
)
from remediation.models import ActionExecution, BucketRun, Transition
from remediation.process_counts import Counter, Key

ENDED_RUN = BucketRun.FINAL | {BucketRun.Status.UNKNOWN}
ENDED_EXECUTION = ActionExecution.FINAL | {ActionExecution.Status.UNKNOWN}


class Change(NamedTuple):
    """The columns of a transition that are counted."""

    id: int
    at: datetime.datetime
    subject_type: str
    subject_id: int
    from_status: str
    to_status: str


def counts_of(changes: Sequence[Change]) -> dict[Key, float]:
    """Return what the transitions add, by series; rows that are deleted add nothing."""
    counts: dict[Key, float] = {}
    runs = [change for change in changes if change.subject_type == Transition.SubjectType.RUN]
    executions = [
        change
        for change in changes
        if change.subject_type == Transition.SubjectType.EXECUTION
        and change.to_status in ENDED_EXECUTION
    ]
    for key, amount in (*_of_runs(runs), *_of_executions(executions)):
        counts[key] = counts.get(key, 0.0) + amount
    return counts


def _of_runs(changes: Sequence[Change]) -> Iterator[tuple[Key, float]]:
    columns = ("bucket_id", "trigger", "created_at", "held_until")
    rows = _columns(BucketRun.objects.all(), changes, columns)
    for change in changes:
        if change.subject_id not in rows:
            continue
        bucket, trigger, created_at, held_until = rows[change.subject_id]
        seconds = (change.at - created_at).total_seconds()
        is_automatic = trigger == BucketRun.Trigger.ALERT and held_until is None
        if not change.from_status:
            yield _one(RUNS_CREATED, bucket=str(bucket), trigger=trigger)
        if change.to_status in ENDED_RUN:
            yield _one(RUNS_ENDED, bucket=str(bucket), outcome=change.to_status)
        # A run begins once; an unknown run that continues comes from another status.
        if is_automatic and (change.from_status, change.to_status) == ("pending", "running"):
            yield from FIRST_CALL.parts(seconds).items()
        if is_automatic and change.to_status == BucketRun.Status.SUCCESS:
            yield from TIME_TO_REMEDIATE.parts(seconds, bucket=str(bucket)).items()


def _of_executions(changes: Sequence[Change]) -> Iterator[tuple[Key, float]]:
    # Tasks of workflows are steps of StackStorm, not of a bucket.
    launched = ActionExecution.objects.filter(parent=None)
    rows = _columns(launched, changes, ("bucket_id", "action_id"))
    for change in changes:
        if change.subject_id in rows:
            bucket, action = rows[change.subject_id]
            yield _one(
                EXECUTIONS_ENDED,
                bucket=str(bucket),
                action=str(action or ""),
                outcome=change.to_status,
            )


def _columns(
    rows: Any, changes: Sequence[Change], columns: tuple[str, ...]
) -> dict[int, tuple[Any, ...]]:
    if not changes:
        return {}
    found = rows.filter(pk__in={change.subject_id for change in changes})
    return {pk: tuple(values) for pk, *values in found.values_list("pk", *columns)}


def _one(counter: Counter, **labels: str) -> tuple[Key, float]:
    return (counter.name, tuple(sorted(labels.items()))), 1.0
