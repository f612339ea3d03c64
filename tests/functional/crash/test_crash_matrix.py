"""Nothing is lost and nothing is done twice, wherever a process dies or loses its connection.

A story is one alert on its way from the webhook to the end of its run. A process carries it out
without trouble, and its points are counted. Then, for every point, a process is cut off there and
a fresh one does what is left; that has to end exactly as the undisturbed story did.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import count
from random import Random
from typing import Any

import pytest

from st2_sandbox import Sandbox
from tests.functional.crash import verdict
from tests.functional.crash.points import FREEZABLE
from tests.functional.crash.stage import API_KEY, KILLED, Ended, Stage
from tests.functional.crash.verdict import Rows
from tests.paths import CONTRACTS

LATER = 600.0  # seconds by which the clock of each further process is ahead
DEATHS = 40
RECORDINGS = CONTRACTS / "alertmanager"


@dataclass(frozen=True)
class Story:
    """What is delivered, what is configured, and how StackStorm's executions end."""

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


STORIES = {
    "steps": Story(
        steps=[
            stackstorm_step("look"),
            local_step("log_event", message="{{ alert.instance }}: {{ steps.look.status }}"),
            stackstorm_step("repair", "core.noop", max_attempts=2, retry_delay_seconds=5),
            stackstorm_step("escalate", condition="steps.repair.status == 'failure'"),
        ],
        outcomes={"core.noop": ["failed", "succeeded"]},
    ),
    "workflow": Story(
        bucket={
            "use_stackstorm": True,
            "st2_workflow_name": "host_down",
            "st2_workflow_pack": "remediation",
        }
    ),
    "canceled by a resolve": Story(
        bucket={"on_resolved": "cancel"},
        steps=[stackstorm_step("look"), stackstorm_step("repair", "core.noop")],
        bodies=("single-01-firing", "single-04-resolved"),
        outcomes={"core.local": "running"},
    ),
}


REQUEST_PATH = "/v1/actions/core.noop"  # what the local action calls, whose calls are counted
UNREPEATABLE = Story(
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
    # A second passes whenever it looks at its clock: nobody has to wait for it.
    with Sandbox(api_key=API_KEY, clock=count().__next__) as running:
        running.configure(duration_seconds=0)
        yield running


@dataclass(frozen=True)
class Player:
    """Plays a story on a stage: in one process after the other, until all has ended."""

    story: Story
    stage: Stage
    sandbox: Sandbox
    token: str

    def play(self, **cut_off: int) -> tuple[Ended, Rows]:
        """Cut the first process off, let a second one do what is left; return the rows, too."""
        self._begin()
        first = self._process(0, **cut_off)
        second = self._process(1, left=first.accepted)
        assert (first.code in (0, KILLED), second.code) == (True, 0), f"{cut_off}: {first} {second}"
        return first, second.result["rows"]

    def play_with_many_deaths(self, *, seed: int) -> tuple[int, Rows]:
        """Kill one process after the other, until one comes to the end; return how many died."""
        self._begin()
        random, accepted = Random(seed), 0
        for deaths in range(DEATHS):
            ended = self._process(deaths, left=accepted, kill_at=random.randint(12, 40))
            accepted += ended.accepted
            if ended.code == 0:
                return deaths, ended.result["rows"]
        raise AssertionError(f"{DEATHS} processes that died got nowhere")

    def _begin(self) -> None:
        self.sandbox.reset()
        self.sandbox.configure(outcomes=self.story.outcomes)

    def _process(self, number: int, *, left: int = 0, **cut_off: int) -> Ended:
        return self.stage.act(
            "remediate",
            bodies=self.story.read_bodies()[left:],
            token=self.token,
            is_new=number == 0,
            seconds_later=number * LATER,
            **cut_off,
        )


@pytest.fixture
def rehearse(open_stage, sandbox) -> Callable[[Story], Player]:
    """Make what a story needs; return its player."""

    def made(story: Story) -> Player:
        token = open_stage.act("prepare", bucket=story.bucket, steps=story.steps).result
        return Player(story, open_stage, sandbox, token)

    return made


@pytest.mark.parametrize(
    ("name", "how", "database"),
    [
        ("steps", "kill_at", "sqlite"),
        ("steps", "kill_at", "mariadb"),
        ("workflow", "kill_at", "sqlite"),
        ("canceled by a resolve", "kill_at", "sqlite"),
        # SQLite has no connection that could be lost.
        ("canceled by a resolve", "cut_at", "mariadb"),
    ],
)
def test_a_story_ends_the_same_wherever_it_is_cut_off(name, how, rehearse, sandbox):
    player = rehearse(STORIES[name])
    undisturbed, told = player.play()
    assert verdict.broken(told, sandbox) == []
    wanted = verdict.outcome(told)
    points = undisturbed.result["points"]
    assert len(points) >= 20, points
    failures = {}

    for number, point in enumerate(points, start=1):
        first, told = player.play(**{how: number})
        assert first.code == KILLED or how == "cut_at" or len(first.result["points"]) < number
        problems = verdict.broken(told, sandbox)
        if verdict.outcome(told) != wanted:
            problems.append(f"it ended as {verdict.outcome(told)}, undisturbed as {wanted}")
        if problems:
            failures[f"{number}: {point}"] = problems

    assert failures == {}, json.dumps(failures, indent=1)


@pytest.mark.parametrize(
    ("name", "database"),
    [("steps", "sqlite"), ("steps", "mariadb")],
)
def test_a_story_ends_the_same_wherever_its_worker_is_stopped(name, rehearse, sandbox):
    player = rehearse(STORIES[name])
    # The first time its actions are asked for, which are known from then on.
    player.play()
    undisturbed, told = player.play()
    wanted = verdict.outcome(told)
    failures = {}

    for number, point in enumerate(undisturbed.result["points"], start=1):
        if not point.startswith(FREEZABLE):
            continue
        first, told = player.play(freeze_at=number)
        problems = verdict.broken(told, sandbox)
        if first.code or verdict.outcome(told) != wanted:
            problems.append(f"it ended as {verdict.outcome(told)}, undisturbed as {wanted}")
        if problems:
            failures[f"{number}: {point}"] = problems

    assert failures == {}, json.dumps(failures, indent=1)


@pytest.mark.parametrize("database", ["sqlite", "mariadb"])
def test_processes_that_die_again_and_again_come_to_the_end(database, rehearse, sandbox):
    player = rehearse(STORIES["steps"])
    _, told = player.play()
    wanted = verdict.outcome(told)

    for seed in (4, 6, 13, 15):
        deaths, told = player.play_with_many_deaths(seed=seed)

        assert deaths > 2
        assert verdict.broken(told, sandbox, may_rest=verdict.LAUNCHED_TWICE) == [], seed
        if told["runs"][0]["status"] != "unknown":
            assert verdict.outcome(told) == wanted, seed


@pytest.mark.parametrize("database", ["sqlite"])
def test_what_must_not_be_repeated_is_left_to_a_person(database, rehearse, sandbox):
    player = rehearse(UNREPEATABLE)
    undisturbed, told = player.play()
    assert verdict.broken(told, sandbox) == []
    seen = set()

    for number, point in enumerate(undisturbed.result["points"], start=1):
        _, told = player.play(kill_at=number)

        [run] = told["runs"]
        first = told["executions"][0]
        seen.add(run["status"])
        assert (run["status"], first["status"]) in [("success",) * 2, ("unknown",) * 2], point
        assert first["error_message"] in ("", "the worker that ran it died"), point
        assert sandbox.requests.count(("GET", REQUEST_PATH)) <= 1, point
    assert seen == {"success", "unknown"}
