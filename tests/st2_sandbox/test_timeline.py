"""Timelines: the time of each status of an execution."""

import pytest

from st2_sandbox.timeline import FINAL, STATUSES, end_time, plan_changes


@pytest.mark.parametrize("outcome", STATUSES)
def test_every_status_can_be_the_outcome(outcome: str) -> None:
    changes = plan_changes(outcome, start=5.0, duration=2.0, result={"a": 1})

    assert changes[0].status == "requested"
    assert changes[-1].status == outcome
    assert [change.at for change in changes] == sorted(change.at for change in changes)


@pytest.mark.parametrize("outcome", STATUSES)
def test_only_a_final_outcome_has_an_end(outcome: str) -> None:
    changes = plan_changes(outcome, start=5.0, duration=2.0)

    assert end_time(changes) == (7.0 if outcome in FINAL else None)


def test_success_follows_scheduled_and_running() -> None:
    changes = plan_changes("succeeded", start=0.0, duration=10.0)

    assert [(change.at, change.status) for change in changes] == [
        (0.0, "requested"),
        (1.0, "scheduled"),
        (2.0, "running"),
        (10.0, "succeeded"),
    ]


def test_a_delay_passes_before_the_execution_is_scheduled() -> None:
    changes = plan_changes("succeeded", start=0.0, duration=1.0, delay=20.0)

    assert [change.status for change in changes][:4] == [
        "requested",
        "delayed",
        "requested",
        "scheduled",
    ]
    assert changes[2].at == 20.0
    assert end_time(changes) == 21.0
