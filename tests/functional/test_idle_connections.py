"""StackStorm responds after MariaDB has closed the idle connection: all is recorded."""

import pytest

from st2_sandbox import Sandbox
from tests.factories import LABELS, alert_payload, notification_body
from tests.servers import mariadb, skip_if_missing
from tests.servers import poundcake as poundcake_server

ANSWER_SECONDS = 7.0
WAIT_TIMEOUT = "--wait-timeout=5"


@pytest.fixture
def poundcake():
    with (
        skip_if_missing(mariadb.running(options=[WAIT_TIMEOUT])) as server,
        Sandbox(api_key="idle-key") as sandbox,
        poundcake_server.running(
            database_url=server.database_url, sandbox=sandbox, api_key="idle-key", ST2_TIMEOUT="15"
        ) as running,
    ):
        sandbox.configure(duration_seconds=0.1, latency_seconds=ANSWER_SECONDS)
        yield running, sandbox


def test_every_response_is_recorded_once(poundcake):
    running, sandbox = poundcake
    action = running.post(
        "actions/", {"name": "echo", "st2_action_ref": "core.local", "st2_parameters": {}}
    )
    steps = [{"action": action["id"], "parameters": {"cmd": "true"}}]
    running.post("buckets/", {"name": "idle", "alert_name_pattern": "HostDown", "steps": steps})
    alerts = [alert_payload(labels=LABELS | {"number": str(number)}) for number in range(3)]

    running.post("webhook", notification_body(*alerts))
    runs = running.wait_for(
        "runs/", lambda page: [run["status"] for run in page["results"]] == ["success"] * 3
    )

    assert len(runs["results"]) == 3
    assert sorted(sandbox.posts_by_trace_tag().values()) == [1, 1, 1]
    executions = running.get("executions/")["results"]
    assert [row["error_message"] for row in executions] == [""] * 3
