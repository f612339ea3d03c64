"""A costly template delays nothing else: real web server, real workers, real HTTP."""

import threading
from collections.abc import Iterator
from time import monotonic, sleep
from typing import Any

import pytest
import requests

from st2_sandbox import Sandbox
from tests.servers import poundcake
from tests.servers.poundcake import PoundCake

API_KEY = "budget-key"
NESTED = "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}"
MEMORY = "".join(f"{{% set a{number} = [0] * 900000 %}}" for number in range(200))
BAD = {
    "BadAssertion": ("{{ alert.instance | truncate(2) }}", "message: cannot be computed"),
    "BadTime": (NESTED, "message: takes longer than 1 s"),
    "BadMemory": (MEMORY, "message: takes too much memory"),
}
STEPS = 3


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(api_key=API_KEY) as running:
        yield running


@pytest.fixture(scope="module", params=["sqlite", "mariadb"])
def served(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, sandbox: Sandbox
) -> Iterator[PoundCake]:
    url = f"sqlite:///{tmp_path_factory.mktemp('database') / 'db.sqlite3'}"
    if request.param == "mariadb":
        url = request.getfixturevalue("mariadb_server").new_database("template_budget")
    with poundcake.running(database_url=url, sandbox=sandbox, api_key=API_KEY) as running:
        yield running


def make_bucket(served: PoundCake, name: str, *steps: dict[str, Any]) -> int:
    """Make a bucket that takes the alert of its own name; return its id."""
    body = {"name": name, "alert_name_pattern": name, "steps": steps}
    return served.post("buckets/", body)["id"]


def action_id(served: PoundCake, name: str) -> int:
    return served.get(f"actions/?name={name}")["results"][0]["id"]


def make_shell_action(served: PoundCake) -> int:
    body = {"name": "noop", "action_type": "stackstorm", "st2_action_ref": "core.noop"}
    return served.post("actions/", body)["id"]


def test_two_simulations_of_a_heavy_bucket_do_not_delay_health(served: PoundCake) -> None:
    step = {"action": action_id(served, "log_event"), "parameters": {"message": NESTED}}
    steps = [step | {"on_failure": "continue"}] * STEPS
    path = f"buckets/{make_bucket(served, 'HostDown', *steps)}/simulate/"
    labels = {"alertname": "HostDown", "instance": "web-01:9100"}
    answers: list[dict[str, Any]] = []
    calls = [
        threading.Thread(target=lambda: answers.append(served.post(path, {"labels": labels})))
        for _ in range(2)
    ]
    for call in calls:
        call.start()
    slowest, asked = 0.0, 0
    while any(call.is_alive() for call in calls):
        begun = monotonic()
        assert requests.get(f"{served.url}/healthz", timeout=30).ok
        slowest, asked = max(slowest, monotonic() - begun), asked + 1
        sleep(0.02)

    assert len(answers) == 2
    for answer in answers:
        assert all(step["error"] for step in answer["steps"])
        assert answer["steps"][0]["error"]["message"].startswith("takes longer than")
    assert asked > 10
    # Less than one rendering takes; the rest is the load of the machine.
    assert slowest < 1.0, f"{slowest:.2f} s"


def test_good_buckets_are_launched_beside_bad_ones_of_every_kind(served: PoundCake) -> None:
    action = make_shell_action(served)
    bad = {
        name: make_bucket(served, name, {"action": action, "parameters": {"message": template}})
        for name, (template, _) in BAD.items()
    }
    condition = " or ".join(["(range(99999) | map('string') | list | sort | length) > 99999"] * 30)
    bad["BadCondition"] = make_bucket(
        served, "BadCondition", {"action": action, "parameters": {}, "condition": condition}
    )
    good = make_bucket(served, "Good", {"action": action, "parameters": {}})
    alerts = [
        {
            "status": "firing",
            "labels": {"alertname": name, "instance": f"web-{number}:9100"},
            "startsAt": "2026-11-28T10:00:00Z",
        }
        for number in range(5)
        for name in (*bad, "Good")
    ]
    answer = requests.post(
        f"{served.url}/api/v1/webhook",
        json={"alerts": alerts},
        headers={"Authorization": f"Bearer {served.token}"},
        timeout=30,
    )
    assert answer.status_code == 202

    def ended(page: dict[str, Any]) -> bool:
        return len(page["results"]) == 5 and all(run["completed_at"] for run in page["results"])

    runs = served.wait_for(f"runs/?bucket={good}", ended)["results"]
    assert {run["status"] for run in runs} == {"success"}
    reasons = {name: reason for name, (_, reason) in BAD.items()}
    reasons["BadCondition"] = "condition: takes longer than 1 s"
    for name, reason in reasons.items():
        runs = served.wait_for(f"runs/?bucket={bad[name]}", ended)["results"]
        assert {run["status"] for run in runs} == {"failure"}
        for run in runs:
            assert reason in run["reason"]
