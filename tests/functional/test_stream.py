"""``serve`` follows StackStorm's stream: executions are settled without polls."""

from time import monotonic, sleep

import pytest

from st2_sandbox import Sandbox
from tests.servers import poundcake

API_KEY = "stream-key"
POLLED = "/executions"
STREAM = "/stream/v1/stream?events=st2.execution__update"


@pytest.fixture
def sandbox():
    with Sandbox(api_key=API_KEY) as running:
        running.configure(duration_seconds=0.3)
        yield running


def wait_for_follower(sandbox):
    deadline = monotonic() + poundcake.TIMEOUT_SECONDS
    while ("GET", STREAM) not in sandbox.requests:
        assert monotonic() < deadline, sandbox.requests
        sleep(0.05)


def test_an_execution_is_settled_by_the_stream_alone(sandbox, tmp_path):
    server = poundcake.running(
        database_url=f"sqlite:///{tmp_path / 'poundcake.sqlite3'}",
        sandbox=sandbox,
        api_key=API_KEY,
        ST2_STREAM_URL=f"{sandbox.url}/stream",
        POLL_INTERVAL="3600",
    )
    with server as app:
        wait_for_follower(sandbox)
        action = app.get("actions/?name=st2_linux_service_action")["results"][0]["id"]
        steps = [{"action": action, "parameters": {"service_name": "nginx"}}] * 2
        app.post("buckets/", {"name": "any", "alert_name_pattern": ".*", "steps": steps})

        alert = {"status": "firing", "labels": {"alertname": "HostDown", "instance": "web-01"}}
        [receipt] = app.post("webhook", {"alerts": [alert]})["alerts"]

        run = app.wait_for(f"runs/{receipt['runs'][0]}/", lambda run: run["completed_at"])
        assert (run["status"], run["reason"]) == ("success", "")
        assert not [path for method, path in sandbox.requests if method == "GET" and POLLED in path]
