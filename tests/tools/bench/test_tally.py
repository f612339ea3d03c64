"""What the bench counts as lost, duplicated and late."""

import pytest

from tools.bench.load import Delivery
from tools.bench.tally import Tally

A, B, C = "a" * 16, "b" * 16, "c" * 16


def call(*fingerprints: str, due: float = 10.0, acked: float = 10.5) -> Delivery:
    return Delivery(fingerprints, b"", due=due, acked=acked)


def begun(fingerprint: str, step: int, at: float, ended: float | None = None) -> dict[str, object]:
    ref = f"bench.step{step}"
    return {"fingerprint": fingerprint, "ref": ref, "began": at, "ended": ended or at + 1}


def tally(*executions: dict[str, object], calls: list[Delivery], steps: int = 1) -> Tally:
    asked = {"post": 3, "list": 2, "get": 4, "children": 1, "version": 9}
    return Tally.of(calls, {"executions": list(executions), "calls": asked}, steps=steps)


def test_all_is_well():
    seen = tally(begun(A, 1, 11.0), begun(B, 1, 12.0), calls=[call(A, B)])

    assert (seen.lost, seen.missing, seen.duplicated, seen.begun) == (0, 0, 0, 2)
    assert seen.first_calls() == [1.0, 2.0]
    assert seen.acks() == [0.5]
    assert (seen.last_begun, seen.last_ended) == (12.0, 13.0)


def test_an_accepted_alert_without_its_executions_is_lost():
    seen = tally(begun(A, 1, 11.0), calls=[call(A), call(B)], steps=2)

    assert (seen.lost, seen.missing) == (2, 3)


def test_an_alert_that_was_not_accepted_is_not_lost():
    seen = tally(calls=[call(A, acked=float("inf"))])

    assert (seen.lost, seen.missing, seen.acks()) == (0, 0, [])


def test_a_step_that_began_twice_is_a_duplicate_though_another_is_missing():
    seen = tally(begun(A, 1, 11.0), begun(A, 1, 12.0), calls=[call(A)], steps=2)

    assert (seen.duplicated, seen.lost, seen.missing) == (1, 1, 1)


def test_what_began_for_other_alerts_counts_nowhere():
    seen = tally(begun(A, 1, 11.0), begun(C, 1, 99.0), calls=[call(A)])

    assert (seen.begun, seen.duplicated, seen.last_begun) == (1, 0, 11.0)


def test_a_gap_is_from_the_end_of_a_step_to_the_beginning_of_the_next():
    seen = tally(
        begun(A, 2, 12.25, 13.0),
        begun(B, 1, 11.0, 12.0),
        begun(A, 1, 11.0, 12.0),
        begun(A, 3, 13.5),
        calls=[call(A), call(B)],
        steps=3,
    )

    assert seen.gaps() == pytest.approx([0.25, 0.5])


def test_questions_are_those_about_executions():
    assert tally(calls=[]).asked() == 7
