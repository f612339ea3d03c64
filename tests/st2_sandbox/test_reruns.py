"""Re-runs in StackStorm: they refer to the original execution and have no trace tag."""

from typing import Any

import pytest

from .client import BY_TRACE_TAG, TRACE_CONTEXT, Client, Clock
from .recordings import recordings

WORKFLOW = "clienttest.slow_wf"
PARAMETERS = {"core.local": {"cmd": "exit 1"}, WORKFLOW: {"seconds": 1}}


def post_re_run(client: Client, original: Any, body: Any) -> Any:
    return client.call("POST", f"/v1/executions/{original['id']}/re_run", body)


def ended_execution(client: Client, clock: Clock, ref: str) -> Any:
    notify = {"on-complete": {"routes": ["poundcake"]}}
    made = client.post(ref, PARAMETERS[ref], context=TRACE_CONTEXT, notify=notify)
    clock.advance(100)
    return made


@pytest.mark.parametrize(
    ("name", "ref", "body"),
    [
        ("post-re-run-201", "core.local", {}),
        ("post-re-run-parameters-201", "core.local", {"parameters": {"cmd": "echo again"}}),
        ("rerun-of-execution-with-notify-201", "core.local", {}),
        ("rerun-whole-workflow-201", WORKFLOW, {}),
        ("rerun-failed-task-201", WORKFLOW, {"tasks": ["second"], "reset": ["second"]}),
        ("rerun-tasks-without-reset-201", WORKFLOW, {"tasks": ["second"]}),
    ],
)
def test_a_re_run_gets_the_recorded_response(
    name: str, ref: str, body: Any, client: Client, clock: Clock
) -> None:
    expected = recordings()[name].body
    original = ended_execution(client, clock, ref)

    response = post_re_run(client, original, body)

    assert response.status == 201
    assert response.body.keys() == expected.keys()
    assert response.body["status"] == "requested"
    assert response.body["id"] != original["id"]
    context = response.body["context"]
    assert context.keys() == expected["context"].keys()
    assert context["re-run"].keys() == expected["context"]["re-run"].keys()
    assert context["re-run"]["ref"] == original["id"]
    assert context["trace_context"].keys() == expected["context"]["trace_context"].keys() == {"id_"}
    assert "notify" not in response.body["liveaction"]
    assert response.body["parameters"] == PARAMETERS[ref] | body.get("parameters", {})


@pytest.mark.parametrize(
    ("name", "ref", "body"),
    [
        ("post-re-run-bad-parameter-400", "core.local", {"parameters": {"nope": 1}}),
        ("post-re-run-tasks-not-workflow-400", "core.local", {"tasks": ["a"]}),
        ("rerun-reset-not-in-tasks", WORKFLOW, {"tasks": ["first"], "reset": ["second"]}),
        ("rerun-tasks-with-parameters", WORKFLOW, {"tasks": ["first"], "parameters": {"a": 1}}),
    ],
)
def test_a_re_run_is_refused_with_the_recorded_error(
    name: str, ref: str, body: Any, client: Client, clock: Clock
) -> None:
    expected = recordings()[name]

    response = post_re_run(client, ended_execution(client, clock, ref), body)

    assert (response.status, response.body) == (expected.status, expected.body)


def test_a_re_run_of_an_unknown_execution_is_refused_with_the_recorded_error(
    client: Client,
) -> None:
    expected = recordings()["post-re-run-unknown-404"]

    response = post_re_run(client, {"id": "0" * 24}, {})

    assert (response.status, response.body) == (expected.status, expected.body)


def test_an_unknown_task_fails_the_re_run(client: Client, clock: Clock) -> None:
    expected = recordings()["rerun-task-unknown-execution"].body
    original = ended_execution(client, clock, WORKFLOW)

    made = post_re_run(client, original, {"tasks": ["nope"], "reset": ["nope"]}).body
    clock.advance(100)

    ended = client.get(f"/v1/executions/{made['id']}")
    assert (ended["status"], ended["result"]) == (expected["status"], expected["result"])
    assert ended.keys() == expected.keys()


def test_a_re_run_of_a_task_skips_the_tasks_before_it(client: Client, clock: Clock) -> None:
    original = ended_execution(client, clock, WORKFLOW)

    made = post_re_run(client, original, {"tasks": ["second"], "reset": ["second"]}).body
    clock.advance(100)

    children = client.get(f"/v1/executions/{made['id']}/children")
    assert [child["context"]["orquesta"]["task_name"] for child in children] == ["second"]


def test_a_re_run_is_found_by_the_id_of_the_original_but_not_by_its_tag(
    client: Client, clock: Clock
) -> None:
    original = ended_execution(client, clock, "core.local")
    made = post_re_run(client, original, {}).body

    by_ref = client.get(f"/v1/executions?filter=context.re-run.ref:{original['id']}")
    by_tag = client.get(BY_TRACE_TAG)

    assert [one["id"] for one in by_ref] == [made["id"]]
    assert [one["id"] for one in by_tag] == [original["id"]]
    assert client.sandbox.started_twice() == []
