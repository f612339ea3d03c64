"""The bench's counts of lost, duplicated and late executions."""

import pytest

from tools.bench.alert_counts import AlertCounts
from tools.bench.load import Delivery

A, B, C = "a" * 16, "b" * 16, "c" * 16


def call(*fingerprints: str, due: float = 10.0, acked: float = 10.5) -> Delivery:
    return Delivery(fingerprints, b"", due=due, acked=acked)


def execution(
    fingerprint: str, step: int, at: float, ended: float | None = None
) -> dict[str, object]:
    ref = f"bench.step{step}"
    return {"fingerprint": fingerprint, "ref": ref, "posted": at, "ended": ended or at + 1}


def counts(*executions: dict[str, object], calls: list[Delivery], steps: int = 1) -> AlertCounts:
    report = {"executions": list(executions), "posts": 3, "gets": 7}
    return AlertCounts.of(calls, report, steps=steps)


def test_started_executions_are_neither_lost_nor_duplicated():
    seen = counts(execution(A, 1, 11.0), execution(B, 1, 12.0), calls=[call(A, B)])

    assert (seen.lost, seen.missing, seen.duplicated, seen.started) == (0, 0, 0, 2)
    assert seen.first_calls() == [1.0, 2.0]
    assert seen.acks() == [0.5]
    assert (seen.last_posted, seen.last_ended) == (12.0, 13.0)


def test_an_accepted_alert_without_its_executions_is_lost():
    seen = counts(execution(A, 1, 11.0), calls=[call(A), call(B)], steps=2)

    assert (seen.lost, seen.missing) == (2, 3)


def test_an_alert_that_was_not_accepted_is_not_lost():
    seen = counts(calls=[call(A, acked=float("inf"))])

    assert (seen.lost, seen.missing, seen.acks()) == (0, 0, [])


def test_a_step_that_started_twice_is_a_duplicate_though_another_is_missing():
    seen = counts(execution(A, 1, 11.0), execution(A, 1, 12.0), calls=[call(A)], steps=2)

    assert (seen.duplicated, seen.lost, seen.missing) == (1, 1, 1)


def test_executions_of_other_alerts_are_ignored():
    seen = counts(execution(A, 1, 11.0), execution(C, 1, 99.0), calls=[call(A)])

    assert (seen.started, seen.duplicated, seen.last_posted) == (1, 0, 11.0)


def test_a_gap_is_the_time_from_the_end_of_a_step_to_the_start_of_the_next():
    seen = counts(
        execution(A, 2, 12.25, 13.0),
        execution(B, 1, 11.0, 12.0),
        execution(A, 1, 11.0, 12.0),
        execution(A, 3, 13.5),
        calls=[call(A), call(B)],
        steps=3,
    )

    assert seen.gaps() == pytest.approx([0.25, 0.5])
