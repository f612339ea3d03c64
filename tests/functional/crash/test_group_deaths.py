"""The leader of a group of notifications dies or loses its connection: nothing is lost or doubled.

Alertmanager sends a notification again until it is accepted, so the test does, too.
"""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import pytest

from st2_sandbox import Sandbox
from tests import factories
from tests.functional.crash import consistency
from tests.functional.crash.process_runner import API_KEY, KILLED, ProcessRunner

HOSTS = ("web-01", "web-02", "web-03")


@pytest.fixture(scope="module")
def sandbox():
    with Sandbox(api_key=API_KEY) as running:
        yield running


def body(host: str) -> str:
    alert = factories.alert_payload(labels=factories.LABELS | {"instance": host}, fingerprint=None)
    return json.dumps(factories.notification_body(alert))


def problems(rows: dict[str, Any]) -> list[str]:
    """Return the losses, duplicates and contradictions in the rows."""
    found = list(consistency.gaps(rows))
    for kind in ("alerts", "runs", "executions"):
        if len(rows[kind]) != len(HOSTS):
            found.append(f"{len(rows[kind])} {kind} of {len(HOSTS)} alerts")
    if any(row["status"] != "firing" for row in rows["alerts"]):
        found.append(f"not firing: {rows['alerts']}")
    first = Counter(row["subject_type"] for row in rows["transitions"] if not row["from_status"])
    if first != {"alert": 3, "run": 3, "execution": 3}:
        found.append(f"first transitions: {first}")
    return found


@pytest.mark.parametrize(
    ("how", "database"),
    [
        ("kill_at", "sqlite"),
        ("kill_at", "mariadb"),
        # SQLite has no connection that could break.
        ("disconnect_at", "mariadb"),
    ],
)
def test_the_death_of_a_leader_loses_and_doubles_nothing(how, processes: ProcessRunner):
    bodies = [body(host) for host in HOSTS]
    action = {"name": "look", "st2_action_ref": "core.local", "st2_runner": "local-shell-cmd"}
    processes.run("prepare", bucket={}, steps=[{"action": action, "parameters": {"cmd": "true"}}])
    points = processes.run("store_group", bodies=bodies).result["points"]
    assert any(point.startswith("before the commit") for point in points), points
    assert any(point.startswith("after the commit") for point in points), points
    failures = {}

    for number, point in enumerate(points, start=1):
        first = processes.run("store_group", bodies=bodies, **{how: number})
        assert first.code in (0, KILLED), first
        # No sender is answered before the commit of all.
        assert first.accepted in (0, len(HOSTS))
        again = processes.run(
            "store_group", bodies=bodies[first.accepted :] or bodies, is_new=False
        )
        assert again.code == 0, again
        found = problems(again.result["rows"])
        is_stored = "created" not in again.result["dispositions"]
        if is_stored != (point.startswith("after the commit") or first.accepted > 0):
            found.append(f"the second delivery found {again.result['dispositions']}")
        if found:
            failures[f"{number}: {point}"] = found

    assert failures == {}, json.dumps(failures, indent=1)
