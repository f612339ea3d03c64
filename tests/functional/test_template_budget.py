"""A costly template delays nobody: real web server, real HTTP."""

import threading
from pathlib import Path
from time import monotonic, sleep

import pytest
import requests

from remediation.sandbox import Sandbox
from tests.parts import poundcake
from tests.parts.mariadb import MariaDB

API_KEY = "budget-key"
NESTED = "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}"
STEPS = 3
LABELS = {"alertname": "HostDown", "instance": "web-01:9100"}


@pytest.mark.parametrize("database", ["sqlite", "mariadb"])
def test_two_simulations_of_a_heavy_bucket_do_not_delay_health(
    database: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    if database == "mariadb":
        server: MariaDB = request.getfixturevalue("mariadb_server")
        database_url = server.database_url
    else:
        database_url = f"sqlite:///{tmp_path / 'db.sqlite3'}"
    with (
        Sandbox(api_key=API_KEY) as sandbox,
        poundcake.started(database_url=database_url, sandbox=sandbox, api_key=API_KEY) as served,
    ):
        action = served.get("actions/?name=log_event")["results"][0]["id"]
        step = {"action": action, "parameters": {"message": NESTED}, "on_failure": "continue"}
        bucket = served.post(
            "buckets/",
            {"name": "heavy", "alert_name_pattern": "HostDown", "steps": [step] * STEPS},
        )
        answers: list[dict] = []
        path = f"buckets/{bucket['id']}/simulate/"
        calls = [
            threading.Thread(target=lambda: answers.append(served.post(path, {"labels": LABELS})))
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
    # Far less than one rendering takes; the rest is the load of the machine.
    assert slowest < 1.0, f"{slowest:.2f} s"
