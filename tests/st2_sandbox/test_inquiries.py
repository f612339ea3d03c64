"""Inquiries in the order of their recordings: each reply is compared with the recorded one."""

from pathlib import Path
from typing import Any

import pytest

from .client import Client, Clock
from .recordings import recordings
from .test_conformance import described

SECONDS = 2.0  # that each task takes
QUESTION = {
    "type": "object",
    "properties": {
        "approve": {"type": "boolean", "description": "Reboot the host?", "required": True},
        "reason": {"type": "string", "description": "Why"},
    },
}
PLAIN = {
    "schema": {
        "type": "object",
        "properties": {
            "approve": {"type": "boolean", "description": "Reboot web1?", "required": True},
            "when": {
                "type": "string",
                "description": "When",
                "enum": ["now", "tonight"],
                "default": "now",
            },
        },
    },
    "route": "ops",
    "ttl": 60,
    "users": ["st2admin", "alice"],
}
ASK = {"route": "ops", "ttl": 60, "users": ["st2admin", "alice"], "schema": QUESTION}
ACTIONS = {
    "clienttest.ask_wf": {
        "runner_type": "orquesta",
        "parameters": {"host": {"type": "string"}},
        "tasks": [
            {"name": "look", "action": "core.local", "parameters": {"cmd": "echo {{ host }}"}},
            {"name": "ask", "action": "core.ask", "parameters": ASK},
            {"name": "act", "action": "core.local", "parameters": {"cmd": "echo {{ ask }}"}},
        ],
        "output": {"answer": "{{ ask }}"},
    },
    "clienttest.ask_ttl_wf": {
        "runner_type": "orquesta",
        "parameters": {"ttl": {"type": "integer"}},
        "tasks": [
            {"name": "begin", "action": "core.noop"},
            {"name": "ask", "action": "core.ask", "parameters": {**ASK, "ttl": "{{ ttl }}"}},
            {
                "name": "other",
                "action": "core.local",
                "parameters": {"cmd": "sleep 6"},
                "after": ["begin"],
            },
            {
                "name": "act",
                "action": "core.local",
                "parameters": {"cmd": "true"},
                "after": ["ask"],
            },
        ],
    },
    "examples.chain-test-inquiry": {
        "runner_type": "action-chain",
        "tasks": [
            {"name": "task1", "action": "core.ask", "parameters": {"route": "developers"}},
            {"name": "task2", "action": "core.local", "parameters": {"cmd": "echo {{ task1 }}"}},
        ],
    },
    "clienttest.ask_nested_wf": {
        "runner_type": "orquesta",
        "tasks": [
            {"name": "outer", "action": "clienttest.ask_wf", "parameters": {"host": "web1"}},
        ],
    },
}
# Played in this module, or in none.
NOT_PLAYED = {
    "inquiry-get-bob-200": "the sandbox has one user",
    "inquiry-ttl-expired-workflow-2": "the same as inquiry-ttl-expired-workflow",
}


class Scenario:
    """Compares replies with recordings; ``clock`` moves when told to."""

    def __init__(self, client: Client, clock: Clock) -> None:
        self.client = client
        self.clock = clock

    def start(self, ref: str, parameters: Any = None, *, tag: str = "") -> str:
        context = {"trace_context": {"trace_tag": tag}} if tag else {}
        return str(self.client.post(ref, parameters, context=context)["id"])

    def as_recorded(self, name: str, path: str, *, method: str = "GET", body: Any = None) -> Any:
        recording = recordings()[name]
        reply = self.client.call(method, path, body)
        assert (reply.status, shown(reply.body)) == (recording.status, shown(recording.body))
        return reply.body

    def ask_of(self, workflow: str) -> str:
        children = self.client.get(f"/v1/executions/{workflow}/children")
        return str(next(one["id"] for one in children if one["runner"]["name"] == "inquirer"))

    def respond(self, inquiry: str, response: Any, name: str) -> None:
        body = {"id": inquiry, "response": response}
        self.as_recorded(name, f"/v1/inquiries/{inquiry}", method="PUT", body=body)


def shown(body: Any) -> Any:
    """Return what has to be the same; of a schema error only its first line."""
    if isinstance(body, dict) and "faultstring" in body:
        return described({"faultstring": body["faultstring"].partition("\n")[0]})
    if isinstance(body, list):
        return [shown(one) for one in body]
    return described(body), body.get("status"), [one["status"] for one in body.get("log", [])]


@pytest.fixture
def scenario(client: Client, clock: Clock) -> Scenario:
    client.sandbox.configure(duration_seconds=SECONDS, actions=ACTIONS)
    return Scenario(client, clock)


@pytest.fixture
def paused(scenario: Scenario) -> tuple[str, str]:
    """Return the ids of a workflow that waits for its inquiry, and of that."""
    workflow = scenario.start("clienttest.ask_wf", {"host": "web1"}, tag="poundcake-1")
    scenario.clock.advance(100)
    return workflow, scenario.ask_of(workflow)


def narrow(workflow: str, attributes: str) -> str:
    return f"/v1/executions?id={workflow}&include_attributes={attributes}"


def test_a_workflow_waits_for_the_answer_and_goes_on(
    scenario: Scenario, paused: tuple[str, str]
) -> None:
    workflow, ask = paused
    same, of = scenario.as_recorded, f"/v1/executions?parent={workflow}"
    pending = "runner=inquirer&status=pending&include_attributes=status,parent,result,context"
    same("inquiry-workflow-paused", f"/v1/executions/{workflow}")
    same("inquiry-workflow-paused-children", f"/v1/executions/{workflow}/children")
    same("inquiry-in-workflow-execution", f"/v1/executions/{ask}")
    same("inquiry-list-of-parent", f"{of}&include_attributes=status,action.ref,runner.name")
    same("inquiry-list-pending-by-parent", f"{of}&{pending}")
    same("inquiries-list", "/v1/inquiries")
    same("inquiry-in-workflow-delete-ask", f"/v1/executions/{ask}", method="DELETE")
    same("inquiry-get-with-workflow-id-400", f"/v1/inquiries/{workflow}")
    scenario.respond(ask, {"approve": "yes"}, "inquiry-in-workflow-put-invalid-400")

    scenario.respond(ask, {"approve": True, "reason": "load is low"}, "inquiry-in-workflow-put-200")

    same("inquiry-workflow-right-after-answer", narrow(workflow, "status,result"))
    scenario.clock.advance(100)
    body = same("inquiry-workflow-after-answer", f"/v1/executions/{workflow}")
    assert "load is low" in body["result"]["output"]["answer"]
    same("inquiry-in-workflow-answered", f"/v1/executions/{ask}")


def test_a_resume_while_it_is_open_hangs_until_the_answer(
    scenario: Scenario, paused: tuple[str, str]
) -> None:
    workflow, ask = paused
    same, at = scenario.as_recorded, f"/v1/executions/{workflow}"
    resume = {"method": "PUT", "body": {"status": "resuming"}}
    same("inquiry-workflow-put-resuming-while-open", at, **resume)
    scenario.clock.advance(100)
    same("inquiry-workflow-resuming-while-open", at)
    same("inquiry-workflow-resuming-again", at, **resume)
    pause = {"method": "PUT", "body": {"status": "pausing"}}
    same("inquiry-workflow-resuming-put-pausing", at, **pause)

    scenario.respond(ask, {"approve": True}, "inquiry-put-after-resume")

    scenario.clock.advance(100)
    same("inquiry-workflow-after-resume-and-answer", at)


def test_a_cancel_leaves_it_open_and_an_answer_has_no_effect(
    scenario: Scenario, paused: tuple[str, str]
) -> None:
    workflow, ask = paused
    same, at = scenario.as_recorded, f"/v1/executions/{workflow}"
    same("inquiry-workflow-delete-paused", at, method="DELETE")
    same("inquiry-workflow-canceled", at)
    same("inquiry-workflow-canceled-children", f"{at}/children")
    same("inquiries-list-after-cancel", "/v1/inquiries")
    same("inquiry-of-canceled-delete", f"/v1/executions/{ask}", method="DELETE")

    scenario.respond(ask, {"approve": True}, "inquiry-of-canceled-put")

    scenario.clock.advance(100)
    same("inquiry-workflow-canceled-after-answer", narrow(workflow, "status,result,log"))
    assert len(scenario.client.get(f"{at}/children")) == 2


def test_an_expired_one_makes_its_workflow_succeeded(scenario: Scenario) -> None:
    plain = scenario.start("core.ask", {"ttl": 1})
    workflow = scenario.start("clienttest.ask_ttl_wf", {"ttl": 1})
    scenario.clock.advance(3.5)
    assert scenario.client.get(f"/v1/executions/{workflow}")["status"] == "running"
    scenario.clock.advance(200)

    same, ask = scenario.as_recorded, scenario.ask_of(workflow)
    same("inquiry-ttl-expired-plain", f"/v1/executions/{plain}")
    same("inquiry-ttl-expired-workflow", f"/v1/executions/{workflow}")
    same("inquiry-ttl-expired-workflow-children", f"/v1/executions/{workflow}/children")
    same("inquiry-ttl-expired-get-400", f"/v1/inquiries/{ask}")
    scenario.respond(ask, {"approve": True}, "inquiry-ttl-expired-put-400")


def test_beside_another_branch_the_workflow_runs(scenario: Scenario) -> None:
    scenario.client.sandbox.configure(outcomes={"core.local": "running"})
    workflow = scenario.start("clienttest.ask_ttl_wf", {"ttl": 60})
    scenario.clock.advance(5)
    same, of = scenario.as_recorded, f"/v1/executions?parent={workflow}"
    same("inquiry-workflow-running-beside-ask", narrow(workflow, "status,children,result"))
    same("inquiry-workflow-running-beside-ask-children", f"{of}&include_attributes=status,context")

    same("inquiry-workflow-running-delete", f"/v1/executions/{workflow}", method="DELETE")

    other = next(one["id"] for one in scenario.client.get(of) if one["status"] == "running")
    scenario.client.call("DELETE", f"/v1/executions/{other}")
    scenario.clock.advance(100)


def test_a_canceled_one_waits_for_its_branch_and_not_for_the_answer(scenario: Scenario) -> None:
    workflow = scenario.start("clienttest.ask_ttl_wf", {"ttl": 60})
    scenario.clock.advance(3.9)
    scenario.client.call("DELETE", f"/v1/executions/{workflow}")
    scenario.clock.advance(100)

    path = narrow(workflow, "status,result,log")
    scenario.as_recorded("inquiry-workflow-running-delete-after", path)
    assert len(scenario.client.get("/v1/inquiries")) == 1


def test_a_sub_workflow_asks_for_the_outer_one_too(scenario: Scenario) -> None:
    outer = scenario.start("clienttest.ask_nested_wf")
    scenario.clock.advance(100)
    same, of = scenario.as_recorded, f"/v1/executions?parent={outer}"
    same("inquiry-nested-paused", f"/v1/executions/{outer}")
    same("inquiry-nested-children", f"/v1/executions/{outer}/children")
    same("inquiry-nested-by-parent", f"{of}&include_attributes=status,action.ref,context")

    scenario.respond(scenario.ask_of(outer), {"approve": False}, "inquiry-nested-put-200")

    scenario.clock.advance(100)
    same("inquiry-nested-after-answer", f"/v1/executions/{outer}")


def test_an_action_chain_pauses_for_it(scenario: Scenario) -> None:
    chain = scenario.start("examples.chain-test-inquiry")
    scenario.clock.advance(100)
    paused = scenario.as_recorded("inquiry-in-action-chain", f"/v1/executions/{chain}")
    [task] = paused["result"]["tasks"]
    assert (task["name"], task["state"]) == ("task1", "pending")

    scenario.respond(task["execution_id"], {"continue": True}, "inquiry-in-action-chain-put")

    scenario.clock.advance(100)
    path = f"/v1/executions/{chain}?include_attributes=status,result,log"
    ended = scenario.as_recorded("inquiry-in-action-chain-after", path)
    assert [one["state"] for one in ended["result"]["tasks"]] == ["succeeded", "succeeded"]


def test_one_by_itself_ends_by_its_answer_alone(scenario: Scenario) -> None:
    same = scenario.as_recorded
    body = {"action": "core.ask", "parameters": PLAIN}
    body["context"] = {"trace_context": {"trace_tag": "poundcake-2"}}
    ask = same("inquiry-plain-post-201", "/v1/executions", method="POST", body=body)["id"]
    scenario.clock.advance(100)
    at = f"/v1/executions/{ask}"
    same("inquiry-plain-pending", at)
    same("inquiry-plain-get", f"/v1/inquiries/{ask}")
    same("inquiry-plain-delete-200-faultstring", at, method="DELETE")
    same("inquiry-plain-put-canceling", at, method="PUT", body={"status": "canceling"})
    scenario.respond(ask, {"approve": True, "when": "never"}, "inquiry-put-invalid-400")
    scenario.respond(ask, {}, "inquiry-put-missing-400")
    scenario.respond(ask, {"approve": "yes", "extra": 1}, "inquiry-put-additional-property")
    path, unknown = f"/v1/inquiries/{ask}", "/v1/inquiries/6b0000000000000000000000"
    same("inquiry-put-no-response-key", path, method="PUT", body={"id": ask})
    answer = {"response": {"approve": True}}
    same("inquiry-put-unknown-404", unknown, method="PUT", body=answer)

    scenario.respond(ask, {"approve": True}, "inquiry-plain-put-200")

    same("inquiry-plain-answered", at)
    same("inquiry-get-answered-400", path)


@pytest.mark.parametrize(
    "name", ["inquiry-put-not-allowed-403", "inquiry-in-workflow-put-not-allowed-403"]
)
def test_only_those_named_may_answer(scenario: Scenario, name: str) -> None:
    ask = scenario.start("core.ask", {**PLAIN, "users": ["alice"]})
    scenario.clock.advance(100)

    reply = scenario.client.call("PUT", f"/v1/inquiries/{ask}", {"response": {"approve": True}})

    words = recordings()[name].body["faultstring"]
    assert reply.status == 403
    assert reply.body["faultstring"].startswith('User "UserDB(id=')
    assert (
        reply.body["faultstring"].partition("permission")[2][:25]
        == words.partition("permission")[2][:25]
    )


def test_what_is_no_inquiry_is_refused(scenario: Scenario) -> None:
    execution = scenario.start("core.noop")
    scenario.clock.advance(100)

    scenario.as_recorded("inquiry-get-not-an-inquiry-400", f"/v1/inquiries/{execution}")


def test_every_recording_of_an_inquiry_is_played_or_named() -> None:
    names = {name for name in recordings() if name.startswith(("inquiry-", "inquiries-"))}
    source = Path(__file__).read_text(encoding="utf-8")

    assert {name for name in names if f'"{name}"' not in source} == set()
    assert set(NOT_PLAYED) <= names
