"""A costly template delays no other work: real web server, workers and HTTP."""

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
def app(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, sandbox: Sandbox
) -> Iterator[PoundCake]:
    url = f"sqlite:///{tmp_path_factory.mktemp('database') / 'db.sqlite3'}"
    if request.param == "mariadb":
        url = request.getfixturevalue("mariadb_server").new_database("template_budget")
    with poundcake.running(database_url=url, sandbox=sandbox, api_key=API_KEY) as running:
        yield running


def make_bucket(app: PoundCake, name: str, *steps: dict[str, Any]) -> int:
    """Create a bucket for the alert with its name; return its id."""
    body = {"name": name, "alert_name_pattern": name, "steps": steps}
    return int(app.post("buckets/", body)["id"])


def action_id(app: PoundCake, name: str) -> int:
    return int(app.get(f"actions/?name={name}")["results"][0]["id"])


def make_shell_action(app: PoundCake) -> int:
    body = {"name": "noop", "action_type": "stackstorm", "st2_action_ref": "core.noop"}
    return int(app.post("actions/", body)["id"])


def test_two_costly_simulations_do_not_delay_health_checks(app: PoundCake) -> None:
    step = {"action": action_id(app, "log_event"), "parameters": {"message": NESTED}}
    steps = [step | {"on_failure": "continue"}] * STEPS
    path = f"buckets/{make_bucket(app, 'HostDown', *steps)}/simulate/"
    labels = {"alertname": "HostDown", "instance": "web-01:9100"}
    results: list[dict[str, Any]] = []
    calls = [
        threading.Thread(target=lambda: results.append(app.post(path, {"labels": labels})))
        for _ in range(2)
    ]
    slowest_idle = max(seconds_of_health(app) for _ in range(20))
    for call in calls:
        call.start()
    seconds = []
    while any(call.is_alive() for call in calls):
        seconds.append(seconds_of_health(app))
        sleep(0.02)

    assert len(results) == 2
    for result in results:
        assert all(step["error"] for step in result["steps"])
        assert result["steps"][0]["error"]["message"].startswith("takes longer than")
    # Delayed requests would be one for each rendering.
    assert len(seconds) > 2 * STEPS + 1
    # A rendering takes 1 s. A busy machine also slows down requests without a rendering.
    assert max(seconds) < 1.0 + 5 * slowest_idle, f"{max(seconds):.2f} s, idle {slowest_idle:.2f} s"


def seconds_of_health(app: PoundCake) -> float:
    start = monotonic()
    assert requests.get(f"{app.url}/healthz", timeout=300).ok
    return monotonic() - start


def test_costly_and_failing_buckets_do_not_stop_a_good_one(app: PoundCake) -> None:
    action = make_shell_action(app)
    bad = {
        name: make_bucket(app, name, {"action": action, "parameters": {"message": template}})
        for name, (template, _) in BAD.items()
    }
    condition = " or ".join(["(range(99999) | map('string') | list | sort | length) > 99999"] * 30)
    bad["BadCondition"] = make_bucket(
        app, "BadCondition", {"action": action, "parameters": {}, "condition": condition}
    )
    good = make_bucket(app, "Good", {"action": action, "parameters": {}})
    alerts = [
        {
            "status": "firing",
            "labels": {"alertname": name, "instance": f"web-{number}:9100"},
            "startsAt": "2026-11-28T10:00:00Z",
        }
        for number in range(5)
        for name in (*bad, "Good")
    ]
    response = requests.post(
        f"{app.url}/api/v1/webhook",
        json={"alerts": alerts},
        headers={"Authorization": f"Bearer {app.token}"},
        timeout=300,
    )
    assert response.status_code == 202

    def ended(page: dict[str, Any]) -> bool:
        return len(page["results"]) == 5 and all(run["completed_at"] for run in page["results"])

    runs = app.wait_for(f"runs/?bucket={good}", ended)["results"]
    assert {run["status"] for run in runs} == {"success"}
    reasons = {name: reason for name, (_, reason) in BAD.items()}
    reasons["BadCondition"] = "condition: takes longer than 1 s"
    for name, reason in reasons.items():
        runs = app.wait_for(f"runs/?bucket={bad[name]}", ended)["results"]
        assert {run["status"] for run in runs} == {"failure"}
        for run in runs:
            assert reason in run["reason"]
