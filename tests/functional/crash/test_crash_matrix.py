"""Nothing is lost or done twice, wherever a process dies or loses a connection.

A scenario is one alert from the webhook to the end of its run. A first process runs it without an
interruption and counts the points. Then, for every point, a process is interrupted there and a new
one finishes the work; the result must be the same.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import count
from random import Random
from typing import Any

import pytest

from st2_sandbox import Sandbox
from tests.functional.crash import consistency
from tests.functional.crash.consistency import Rows
from tests.functional.crash.interruptions import FREEZABLE
from tests.functional.crash.process_runner import API_KEY, KILLED, Finished, ProcessRunner
from tests.paths import CONTRACTS

LATER = 600.0  # seconds that the clock of each further process is ahead
DEATHS = 40
RECORDINGS = CONTRACTS / "alertmanager"


@dataclass(frozen=True)
class Scenario:
    """Webhook bodies, configuration, and the outcomes of StackStorm's executions."""

    steps: list[dict[str, Any]] = field(default_factory=list)
    bucket: dict[str, Any] = field(default_factory=dict)
    bodies: tuple[str, ...] = ("single-01-firing",)
    outcomes: dict[str, Any] = field(default_factory=dict)

    def read_bodies(self) -> list[str]:
        recordings = [json.loads((RECORDINGS / f"{name}.json").read_text()) for name in self.bodies]
        return [json.dumps(recording["body"]) for recording in recordings]


def stackstorm_step(name: str, ref: str = "core.local", **columns: Any) -> dict[str, Any]:
    action = {"name": name, "st2_action_ref": ref, "st2_runner": "local-shell-cmd"}
    parameters = {} if ref == "core.noop" else {"cmd": "uptime {{ alert.instance | quote }}"}
    return {"action": action, "parameters": parameters, "timeout_seconds": 86_400} | columns


def local_step(name: str, **parameters: Any) -> dict[str, Any]:
    action = {"name": name, "action_type": name, "use_stackstorm": False, "st2_action_ref": ""}
    return {"action": action, "parameters": parameters}


SCENARIOS = {
    "steps": Scenario(
        steps=[
            stackstorm_step("look"),
            local_step("log_event", message="{{ alert.instance }}: {{ steps.look.status }}"),
            stackstorm_step("repair", "core.noop", max_attempts=2, retry_delay_seconds=5),
            stackstorm_step("escalate", condition="steps.repair.status == 'failure'"),
        ],
        outcomes={"core.noop": ["failed", "succeeded"]},
    ),
    "workflow": Scenario(
        bucket={
            "use_stackstorm": True,
            "st2_workflow_name": "host_down",
            "st2_workflow_pack": "remediation",
        }
    ),
    "canceled by a resolve": Scenario(
        bucket={"on_resolved": "cancel"},
        steps=[stackstorm_step("look"), stackstorm_step("repair", "core.noop")],
        bodies=("single-01-firing", "single-04-resolved"),
        outcomes={"core.local": "running"},
    ),
}


REQUEST_PATH = "/v1/actions/core.noop"  # called by the local action
UNREPEATABLE = Scenario(
    steps=[
        local_step(
            "http_request",
            url="{{ config.stackstorm }}" + REQUEST_PATH,
            headers={"St2-Api-Key": API_KEY},
        ),
        local_step("wait", seconds=30),
    ]
)


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    # Its clock advances a second with every reading, so no test waits for it.
    with Sandbox(api_key=API_KEY, clock=count().__next__) as running:
        running.configure(duration_seconds=0)
        yield running


@dataclass(frozen=True)
class ScenarioRunner:
    """Runs a scenario in one process after the other until all runs have ended."""

    scenario: Scenario
    processes: ProcessRunner
    sandbox: Sandbox
    token: str

    def run(self, **interruption: int) -> tuple[Finished, Rows]:
        """Interrupt a first process, finish in a second one; return the first and the rows."""
        self._reset()
        first = self._run(0, **interruption)
        second = self._run(1, left=first.accepted)
        assert first.code in (0, KILLED), f"{interruption}: {first}"
        assert second.code == 0, f"{interruption}: {second}"
        return first, second.result["rows"]

    def run_with_many_deaths(self, *, seed: int) -> tuple[int, Rows]:
        """Kill one process after the other until one finishes; return the number of deaths."""
        self._reset()
        random, accepted = Random(seed), 0
        for deaths in range(DEATHS):
            finished = self._run(deaths, left=accepted, kill_at=random.randint(12, 40))
            accepted += finished.accepted
            if finished.code == 0:
                return deaths, finished.result["rows"]
        raise AssertionError(f"not finished after {DEATHS} killed processes")

    def _reset(self) -> None:
        self.sandbox.reset()
        self.sandbox.configure(outcomes=self.scenario.outcomes)

    def _run(self, number: int, *, left: int = 0, **interruption: int) -> Finished:
        return self.processes.run(
            "remediate",
            bodies=self.scenario.read_bodies()[left:],
            token=self.token,
            is_new=number == 0,
            seconds_later=number * LATER,
            **interruption,
        )


@pytest.fixture
def prepare(processes, sandbox) -> Callable[[Scenario], ScenarioRunner]:
    """Create the rows of a scenario; return its runner."""

    def prepared(scenario: Scenario) -> ScenarioRunner:
        token = processes.run("prepare", bucket=scenario.bucket, steps=scenario.steps).result
        return ScenarioRunner(scenario, processes, sandbox, token)

    return prepared


@pytest.mark.parametrize(
    ("name", "how", "database"),
    [
        ("steps", "kill_at", "sqlite"),
        ("steps", "kill_at", "mariadb"),
        ("workflow", "kill_at", "sqlite"),
        ("canceled by a resolve", "kill_at", "sqlite"),
        # SQLite has no connection that could break.
        ("canceled by a resolve", "disconnect_at", "mariadb"),
    ],
)
def test_an_interruption_at_any_point_does_not_change_the_result(name, how, prepare, sandbox):
    runner = prepare(SCENARIOS[name])
    uninterrupted, rows = runner.run()
    assert consistency.violations(rows, sandbox) == []
    wanted = consistency.outcome(rows)
    points = uninterrupted.result["points"]
    assert len(points) >= 20, points
    failures = {}

    for number, point in enumerate(points, start=1):
        first, rows = runner.run(**{how: number})
        is_expected = first.code == KILLED or how == "disconnect_at"
        assert is_expected or len(first.result["points"]) < number
        problems = consistency.violations(rows, sandbox)
        if consistency.outcome(rows) != wanted:
            problems.append(f"the outcome is {consistency.outcome(rows)}, not {wanted}")
        if problems:
            failures[f"{number}: {point}"] = problems

    assert failures == {}, json.dumps(failures, indent=1)


@pytest.mark.parametrize(
    ("name", "database"),
    [("steps", "sqlite"), ("steps", "mariadb")],
)
def test_a_frozen_worker_at_any_point_does_not_change_the_result(name, prepare, sandbox):
    runner = prepare(SCENARIOS[name])
    # The first run looks up the actions, which are known from then on.
    runner.run()
    uninterrupted, rows = runner.run()
    wanted = consistency.outcome(rows)
    failures = {}

    for number, point in enumerate(uninterrupted.result["points"], start=1):
        if not point.startswith(FREEZABLE):
            continue
        first, rows = runner.run(freeze_at=number)
        problems = consistency.violations(rows, sandbox)
        if first.code or consistency.outcome(rows) != wanted:
            problems.append(f"the outcome is {consistency.outcome(rows)}, not {wanted}")
        if problems:
            failures[f"{number}: {point}"] = problems

    assert failures == {}, json.dumps(failures, indent=1)


@pytest.mark.parametrize("database", ["sqlite", "mariadb"])
def test_repeated_deaths_do_not_prevent_the_result(database, prepare, sandbox):
    runner = prepare(SCENARIOS["steps"])
    _, rows = runner.run()
    wanted = consistency.outcome(rows)

    for seed in (4, 6, 13, 15):
        deaths, rows = runner.run_with_many_deaths(seed=seed)

        assert deaths > 2
        assert (
            consistency.violations(rows, sandbox, allowed_unknown=consistency.LAUNCHED_TWICE) == []
        ), seed
        if rows["runs"][0]["status"] != "unknown":
            assert consistency.outcome(rows) == wanted, seed


@pytest.mark.parametrize("database", ["sqlite"])
def test_an_unrepeatable_action_becomes_unknown_when_its_worker_dies(database, prepare, sandbox):
    runner = prepare(UNREPEATABLE)
    uninterrupted, rows = runner.run()
    assert consistency.violations(rows, sandbox) == []
    seen = set()

    for number, point in enumerate(uninterrupted.result["points"], start=1):
        _, rows = runner.run(kill_at=number)

        [run] = rows["runs"]
        first = rows["executions"][0]
        seen.add(run["status"])
        assert (run["status"], first["status"]) in [("success",) * 2, ("unknown",) * 2], point
        assert first["error_message"] in ("", "the worker that ran it died"), point
        assert sandbox.requests.count(("GET", REQUEST_PATH)) <= 1, point
    assert seen == {"success", "unknown"}
