"""Callbacks are StackStorm executions with our trace tags; none is recorded as a remediation."""

import pytest

from st2_sandbox import Sandbox
from tests.servers import poundcake

API_KEY = "callback-key"
ALERTS = 6


@pytest.fixture
def sandbox():
    with Sandbox(api_key=API_KEY) as running:
        running.configure(duration_seconds=0.3)
        yield running


@pytest.mark.parametrize("is_accepted", [True, False], ids=["accepted", "refused"])
def test_the_remediation_is_recorded_and_not_its_callback(is_accepted, sandbox, tmp_path):
    server = poundcake.running(
        database_url=f"sqlite:///{tmp_path / 'poundcake.sqlite3'}",
        sandbox=sandbox,
        api_key=API_KEY,
        ST2_NOTIFY="true",
    )
    with server as app:
        token = app.token if is_accepted else "pc_unknown"
        # Lost responses cause look-ups by tag and checks for duplicates.
        sandbox.configure(
            callback_url=f"{app.url}/api/v1/stackstorm/webhook",
            callback_token=token,
            drop_answer_rate=0.5,
        )
        action = app.get("actions/?name=st2_linux_service_action")["results"][0]["id"]
        steps = [{"action": action, "parameters": {"service_name": "nginx"}}]
        app.post("buckets/", {"name": "any", "alert_name_pattern": ".*", "steps": steps})

        labels = [{"alertname": "HostDown", "instance": f"web-{n}"} for n in range(ALERTS)]
        alerts = [{"status": "firing", "labels": each} for each in labels]
        receipts = app.post("webhook", {"alerts": alerts})["alerts"]

        for receipt in receipts:
            run = app.wait_for(f"runs/{receipt['runs'][0]}/", lambda run: run["completed_at"])
            assert (run["status"], run["reason"]) == ("success", "")
        app.wait_for("executions/", lambda _: len(reports_of(sandbox)) == ALERTS)
        ours = app.get("executions/")["results"]

    launched = {
        one["context"]["trace_context"]["trace_tag"]: one["id"]
        for one in sandbox.executions
        if "rule" not in one
    }
    assert {one["trace_tag"]: one["st2_execution_id"] for one in ours} == launched
    assert len(launched) == ALERTS
    assert all("status_code" not in one["st2_result"] for one in ours)
    assert set(sandbox.posts_by_trace_tag().values()) == {1}
    assert not [path for method, path in sandbox.requests if method == "DELETE"]
    expected = {"succeeded"} if is_accepted else {"failed"}
    assert {report["status"] for report in reports_of(sandbox)} == expected


def reports_of(sandbox):
    """Return the ended executions of the callback rule."""
    ended = ("succeeded", "failed")
    return [one for one in sandbox.executions if "rule" in one and one["status"] in ended]
