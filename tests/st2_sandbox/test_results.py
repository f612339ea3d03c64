"""The sandbox ends executions with any result that is asked for, the recorded ones among them."""

from typing import Any

import pytest

from .client import Client, Clock
from .recordings import recordings

SECONDS = 1.0


def of_executions() -> dict[str, dict[str, Any]]:
    """Return the recorded executions that ended with a result, by the name of their recording."""
    found = {}
    for name, recording in recordings().items():
        body = recording.body
        is_final = isinstance(body, dict) and body.get("status") in ("succeeded", "failed")
        if recording.method == "GET" and is_final and body.get("result"):
            found[name] = body
    return found


RECORDED = of_executions()


def test_the_shapes_of_all_runners_are_recorded() -> None:
    assert {"failure-action-chain", "failure-remote-one-of-two", "failure-workflow-nested"} < set(
        RECORDED
    )


@pytest.mark.parametrize("name", RECORDED)
def test_a_recorded_result_is_played_as_it_is(name: str, client: Client, clock: Clock) -> None:
    view = RECORDED[name]
    actions = {"recorded.action": {"runner_type": "noop"}}
    client.sandbox.configure(
        duration_seconds=SECONDS,
        actions=actions,
        outcomes={"recorded.action": view["status"]},
        results={"recorded.action": view["result"]},
    )

    made = client.post("recorded.action")["id"]
    clock.advance(2 * SECONDS)
    played = client.get(f"/v1/executions/{made}")

    assert (played["status"], played["result"]) == (view["status"], view["result"])


def test_results_are_used_in_turn_and_the_last_one_stays(client: Client, clock: Clock) -> None:
    client.sandbox.configure(duration_seconds=SECONDS, results={"core.noop": [{"n": 1}, {"n": 2}]})

    made = [client.post("core.noop")["id"] for _ in range(3)]
    clock.advance(2 * SECONDS)

    played = [client.get(f"/v1/executions/{one}")["result"] for one in made]
    assert played == [{"n": 1}, {"n": 2}, {"n": 2}]


def test_a_task_that_timed_out_leaves_no_error_in_its_workflow(
    client: Client, clock: Clock
) -> None:
    recorded = recordings()["failure-workflow-task-timeout"].body
    client.sandbox.configure(duration_seconds=SECONDS, outcomes={"core.local": "timeout"})

    made = client.post("clienttest.slow_wf")["id"]
    clock.advance(20 * SECONDS)

    played = client.get(f"/v1/executions/{made}")
    assert (played["status"], played["result"]) == ("failed", recorded["result"])
    [task] = client.get(f"/v1/executions/{made}/children")
    assert (task["status"], "error" in task["result"]) == ("timeout", True)
