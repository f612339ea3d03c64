"""Timelines: the time of each status of an execution."""

import pytest

from st2_sandbox.timeline import FINAL, STATUSES, end_of, plan


@pytest.mark.parametrize("outcome", STATUSES)
def test_every_status_can_be_the_outcome(outcome: str) -> None:
    moments = plan(outcome, start=5.0, duration=2.0, result={"a": 1})

    assert moments[0].status == "requested"
    assert moments[-1].status == outcome
    assert [moment.at for moment in moments] == sorted(moment.at for moment in moments)


@pytest.mark.parametrize("outcome", STATUSES)
def test_only_a_final_outcome_has_an_end(outcome: str) -> None:
    moments = plan(outcome, start=5.0, duration=2.0)

    assert end_of(moments) == (7.0 if outcome in FINAL else None)


def test_success_follows_scheduled_and_running() -> None:
    moments = plan("succeeded", start=0.0, duration=10.0)

    assert [(moment.at, moment.status) for moment in moments] == [
        (0.0, "requested"),
        (1.0, "scheduled"),
        (2.0, "running"),
        (10.0, "succeeded"),
    ]


def test_a_delay_passes_before_the_execution_is_scheduled() -> None:
    moments = plan("succeeded", start=0.0, duration=1.0, delay=20.0)

    assert [moment.status for moment in moments][:4] == [
        "requested",
        "delayed",
        "requested",
        "scheduled",
    ]
    assert moments[2].at == 20.0
    assert end_of(moments) == 21.0
