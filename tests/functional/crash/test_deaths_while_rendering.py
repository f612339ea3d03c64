"""A step that kills every worker that renders it costs three workers, and no other step."""

from collections.abc import Iterator

import pytest

from remediation.engine.launching.preparation import ATTEMPTS_MAX, LEASE
from st2_sandbox import Sandbox
from tests.functional.crash.stage import API_KEY, KILLED, Stage

NAMES = ["first", "second", "fatal", "third", "fourth", "fifth"]
PROCESSES = 12


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(api_key=API_KEY) as running:
        yield running


@pytest.mark.parametrize("database", ["sqlite", "mariadb"])
@pytest.mark.parametrize("fatal_at", [0, 2, 5])
def test_the_others_are_launched_and_it_fails_after_the_third_death(
    fatal_at: int, open_stage: Stage, sandbox: Sandbox
) -> None:
    names = [name for name in NAMES if name != "fatal"]
    names.insert(fatal_at, "fatal")
    open_stage.act("queue_executions", names=names)
    deaths = 0

    for number in range(PROCESSES):
        later = number * (LEASE.total_seconds() + 1)
        ended = open_stage.act("launch", fatal="fatal", seconds_later=later)
        deaths += ended.code == KILLED
        if ended.result and ended.result["fatal"][0] == "failure":
            break

    assert deaths == ATTEMPTS_MAX
    status, error = ended.result.pop("fatal")
    assert (status, error) == (
        "failure",
        "parameters: 3 workers died or hung while they rendered this step; make its templates"
        " smaller and simpler",
    )
    assert {status for status, _error in ended.result.values()} == {"running"}
    assert sorted(sandbox.posts_by_trace_tag().values()) == [1] * (len(NAMES) - 1)
