"""A step whose rendering kills workers fails after the third; other steps are not affected."""

from collections.abc import Iterator

import pytest

from remediation.engine.launching.preparation import ATTEMPTS_MAX, RESERVATION_TIME
from st2_sandbox import Sandbox
from tests.functional.crash.process_runner import API_KEY, KILLED, ProcessRunner

NAMES = ["first", "second", "fatal", "third", "fourth", "fifth"]
PROCESSES = 12


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(api_key=API_KEY) as running:
        yield running


@pytest.mark.parametrize("database", ["sqlite", "mariadb"])
@pytest.mark.parametrize("fatal_at", [0, 2, 5])
def test_the_step_fails_after_the_third_death_and_the_others_are_launched(
    fatal_at: int, processes: ProcessRunner, sandbox: Sandbox
) -> None:
    names = [name for name in NAMES if name != "fatal"]
    names.insert(fatal_at, "fatal")
    processes.run("queue_executions", names=names)
    deaths = 0

    for number in range(PROCESSES):
        later = number * (RESERVATION_TIME.total_seconds() + 1)
        finished = processes.run("launch", fatal="fatal", seconds_later=later)
        deaths += finished.code == KILLED
        if finished.result and finished.result["fatal"][0] == "failure":
            break

    assert deaths == ATTEMPTS_MAX
    status, error = finished.result.pop("fatal")
    assert (status, error) == (
        "failure",
        "parameters: 3 workers died or hung while they rendered this step; make its templates"
        " smaller and simpler",
    )
    assert {status for status, _error in finished.result.values()} == {"running"}
    assert sorted(sandbox.posts_by_trace_tag().values()) == [1] * (len(NAMES) - 1)
