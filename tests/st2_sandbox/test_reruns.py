"""Executions that people run again in StackStorm: they name the first one, and have no tag."""

from typing import Any

import pytest

from .client import Client, Clock
from .recordings import recordings

TAG = {"trace_context": {"trace_tag": "tag-1"}}
WORKFLOW = "clienttest.slow_wf"
ORIGINALS = {"core.local": {"cmd": "exit 1"}, WORKFLOW: {"seconds": 1}}


def run_again(client: Client, original: Any, body: Any) -> Any:
    return client.call("POST", f"/v1/executions/{original['id']}/re_run", body)


def original_of(client: Client, clock: Clock, ref: str) -> Any:
    notify = {"on-complete": {"routes": ["poundcake"]}}
    made = client.post(ref, ORIGINALS[ref], context=TAG, notify=notify)
    clock.advance(100)
    return made


@pytest.mark.parametrize(
    ("name", "ref", "more"),
    [
        ("post-re-run-201", "core.local", {}),
        ("post-re-run-parameters-201", "core.local", {"parameters": {"cmd": "echo again"}}),
        ("rerun-of-execution-with-notify-201", "core.local", {}),
        ("rerun-whole-workflow-201", WORKFLOW, {}),
        ("rerun-failed-task-201", WORKFLOW, {"tasks": ["second"], "reset": ["second"]}),
        ("rerun-tasks-without-reset-201", WORKFLOW, {"tasks": ["second"]}),
    ],
)
def test_a_re_run_is_answered_as_recorded(
    name: str, ref: str, more: Any, client: Client, clock: Clock
) -> None:
    expected = recordings()[name].body
    original = original_of(client, clock, ref)

    reply = run_again(client, original, more)

    assert reply.status == 201
    assert reply.body.keys() == expected.keys()
    assert reply.body["status"] == "requested"
    assert reply.body["id"] != original["id"]
    context = reply.body["context"]
    assert context.keys() == expected["context"].keys()
    assert context["re-run"].keys() == expected["context"]["re-run"].keys()
    assert context["re-run"]["ref"] == original["id"]
    assert context["trace_context"].keys() == expected["context"]["trace_context"].keys() == {"id_"}
    assert "notify" not in reply.body["liveaction"]
    assert reply.body["parameters"] == ORIGINALS[ref] | more.get("parameters", {})


@pytest.mark.parametrize(
    ("name", "ref", "body"),
    [
        ("post-re-run-bad-parameter-400", "core.local", {"parameters": {"nope": 1}}),
        ("post-re-run-tasks-not-workflow-400", "core.local", {"tasks": ["a"]}),
        ("rerun-reset-not-in-tasks", WORKFLOW, {"tasks": ["first"], "reset": ["second"]}),
        ("rerun-tasks-with-parameters", WORKFLOW, {"tasks": ["first"], "parameters": {"a": 1}}),
    ],
)
def test_a_re_run_is_refused_in_the_recorded_words(
    name: str, ref: str, body: Any, client: Client, clock: Clock
) -> None:
    expected = recordings()[name]

    reply = run_again(client, original_of(client, clock, ref), body)

    assert (reply.status, reply.body) == (expected.status, expected.body)


def test_the_re_run_of_nothing_is_refused_in_the_recorded_words(client: Client) -> None:
    expected = recordings()["post-re-run-unknown-404"]

    reply = run_again(client, {"id": "0" * 24}, {})

    assert (reply.status, reply.body) == (expected.status, expected.body)


def test_an_unknown_task_fails_the_re_run(client: Client, clock: Clock) -> None:
    expected = recordings()["rerun-task-unknown-execution"].body
    original = original_of(client, clock, WORKFLOW)

    made = run_again(client, original, {"tasks": ["nope"], "reset": ["nope"]}).body
    clock.advance(100)

    ended = client.get(f"/v1/executions/{made['id']}")
    assert (ended["status"], ended["result"]) == (expected["status"], expected["result"])
    assert ended.keys() == expected.keys()


def test_only_the_named_task_and_those_after_it_run_again(client: Client, clock: Clock) -> None:
    original = original_of(client, clock, WORKFLOW)

    made = run_again(client, original, {"tasks": ["second"], "reset": ["second"]}).body
    clock.advance(100)

    children = client.get(f"/v1/executions/{made['id']}/children")
    assert [child["context"]["orquesta"]["task_name"] for child in children] == ["second"]


def test_a_re_run_is_found_by_the_first_one_and_not_by_its_tag(
    client: Client, clock: Clock
) -> None:
    original = original_of(client, clock, "core.local")
    made = run_again(client, original, {}).body

    by_ref = client.get(f"/v1/executions?filter=context.re-run.ref:{original['id']}")
    by_tag = client.get("/v1/executions?filter=context.trace_context.trace_tag:tag-1")

    assert [one["id"] for one in by_ref] == [made["id"]]
    assert [one["id"] for one in by_tag] == [original["id"]]
    assert client.sandbox.started_twice() == []
