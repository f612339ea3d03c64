"""Configured results: the sandbox returns any result, including every recorded one."""

from typing import Any

import pytest

from .client import Client, Clock
from .recordings import recordings

DURATION_SECONDS = 1.0


def executions_with_result() -> dict[str, dict[str, Any]]:
    """Return the recorded executions that ended with a result, by recording name."""
    found = {}
    for name, recording in recordings().items():
        body = recording.body
        is_final = isinstance(body, dict) and body.get("status") in ("succeeded", "failed")
        if recording.method == "GET" and is_final and body.get("result"):
            found[name] = body
    return found


RECORDED = executions_with_result()


def test_results_of_chains_remote_runs_and_workflows_are_recorded() -> None:
    assert {"failure-action-chain", "failure-remote-one-of-two", "failure-workflow-nested"} < set(
        RECORDED
    )


@pytest.mark.parametrize("name", RECORDED)
def test_a_recorded_result_is_returned_unchanged(name: str, client: Client, clock: Clock) -> None:
    recorded = RECORDED[name]
    actions = {"recorded.action": {"runner_type": "noop"}}
    client.sandbox.configure(
        duration_seconds=DURATION_SECONDS,
        actions=actions,
        outcomes={"recorded.action": recorded["status"]},
        results={"recorded.action": recorded["result"]},
    )

    made = client.post("recorded.action")["id"]
    clock.advance(2 * DURATION_SECONDS)
    ended = client.get(f"/v1/executions/{made}")

    assert (ended["status"], ended["result"]) == (recorded["status"], recorded["result"])


def test_a_list_of_results_is_used_in_order_and_its_last_repeats(
    client: Client, clock: Clock
) -> None:
    client.sandbox.configure(
        duration_seconds=DURATION_SECONDS, results={"core.noop": [{"n": 1}, {"n": 2}]}
    )

    made = [client.post("core.noop")["id"] for _ in range(3)]
    clock.advance(2 * DURATION_SECONDS)

    ended = [client.get(f"/v1/executions/{one}")["result"] for one in made]
    assert ended == [{"n": 1}, {"n": 2}, {"n": 2}]


def test_a_workflow_does_not_show_the_error_of_a_task_that_timed_out(
    client: Client, clock: Clock
) -> None:
    recorded = recordings()["failure-workflow-task-timeout"].body
    client.sandbox.configure(duration_seconds=DURATION_SECONDS, outcomes={"core.local": "timeout"})

    made = client.post("clienttest.slow_wf")["id"]
    clock.advance(20 * DURATION_SECONDS)

    ended = client.get(f"/v1/executions/{made}")
    assert (ended["status"], ended["result"]) == ("failed", recorded["result"])
    [task] = client.get(f"/v1/executions/{made}/children")
    assert (task["status"], "error" in task["result"]) == ("timeout", True)
