"""Inquiries: replay the recorded requests in order and compare each response."""

from pathlib import Path
from typing import Any

import pytest

from .client import Client, Clock
from .comparison import comparable
from .inquiry_actions import ACTIONS
from .recordings import recordings

DURATION_SECONDS = 2.0  # of each task
PLAIN_INQUIRY = {
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
# Recordings that no test replays, and the reason.
EXCLUDED = {
    "inquiry-get-bob-200": "the sandbox has one user",
    "inquiry-ttl-expired-workflow-2": "the same as inquiry-ttl-expired-workflow",
}


class Scenario:
    """Sends requests and compares each response with a recording."""

    def __init__(self, client: Client, clock: Clock) -> None:
        self.client = client
        self.clock = clock

    def start(self, ref: str, parameters: Any = None, *, tag: str = "") -> str:
        context = {"trace_context": {"trace_tag": tag}} if tag else {}
        return str(self.client.post(ref, parameters, context=context)["id"])

    def assert_recorded(
        self, name: str, path: str, *, method: str = "GET", body: Any = None
    ) -> Any:
        recording = recordings()[name]
        response = self.client.call(method, path, body)
        expected = (recording.status, comparable_inquiry(recording.body))
        assert (response.status, comparable_inquiry(response.body)) == expected
        return response.body

    def inquiry_of(self, workflow: str) -> str:
        children = self.client.get(f"/v1/executions/{workflow}/children")
        return str(next(one["id"] for one in children if one["runner"]["name"] == "inquirer"))

    def answer(self, inquiry: str, answer: Any, name: str) -> None:
        body = {"id": inquiry, "response": answer}
        self.assert_recorded(name, f"/v1/inquiries/{inquiry}", method="PUT", body=body)


def comparable_inquiry(body: Any) -> Any:
    """Return the parts of a body that must match: of a schema error, the first line."""
    if isinstance(body, dict) and "faultstring" in body:
        return comparable({"faultstring": body["faultstring"].partition("\n")[0]})
    if isinstance(body, list):
        return [comparable_inquiry(one) for one in body]
    return comparable(body), body.get("status"), [one["status"] for one in body.get("log", [])]


@pytest.fixture
def scenario(client: Client, clock: Clock) -> Scenario:
    client.sandbox.configure(duration_seconds=DURATION_SECONDS, actions=ACTIONS)
    return Scenario(client, clock)


@pytest.fixture
def paused_workflow(scenario: Scenario) -> tuple[str, str]:
    """The ids of a workflow that waits for an inquiry and of that inquiry."""
    workflow = scenario.start("clienttest.ask_wf", {"host": "web1"}, tag="poundcake-1")
    scenario.clock.advance(100)
    return workflow, scenario.inquiry_of(workflow)


def path_with_attributes(workflow: str, attributes: str) -> str:
    return f"/v1/executions?id={workflow}&include_attributes={attributes}"


def test_a_workflow_pauses_until_the_answer_and_continues(
    scenario: Scenario, paused_workflow: tuple[str, str]
) -> None:
    workflow, inquiry = paused_workflow
    check, by_parent = scenario.assert_recorded, f"/v1/executions?parent={workflow}"
    pending = "runner=inquirer&status=pending&include_attributes=status,parent,result,context"
    check("inquiry-workflow-paused", f"/v1/executions/{workflow}")
    check("inquiry-workflow-paused-children", f"/v1/executions/{workflow}/children")
    check("inquiry-in-workflow-execution", f"/v1/executions/{inquiry}")
    check("inquiry-list-of-parent", f"{by_parent}&include_attributes=status,action.ref,runner.name")
    check("inquiry-list-pending-by-parent", f"{by_parent}&{pending}")
    check("inquiries-list", "/v1/inquiries")
    check("inquiry-in-workflow-delete-ask", f"/v1/executions/{inquiry}", method="DELETE")
    check("inquiry-get-with-workflow-id-400", f"/v1/inquiries/{workflow}")
    scenario.answer(inquiry, {"approve": "yes"}, "inquiry-in-workflow-put-invalid-400")

    scenario.answer(
        inquiry, {"approve": True, "reason": "load is low"}, "inquiry-in-workflow-put-200"
    )

    check("inquiry-workflow-right-after-answer", path_with_attributes(workflow, "status,result"))
    scenario.clock.advance(100)
    body = check("inquiry-workflow-after-answer", f"/v1/executions/{workflow}")
    assert "load is low" in body["result"]["output"]["answer"]
    check("inquiry-in-workflow-answered", f"/v1/executions/{inquiry}")


def test_a_resume_during_an_open_inquiry_waits_for_the_answer(
    scenario: Scenario, paused_workflow: tuple[str, str]
) -> None:
    workflow, inquiry = paused_workflow
    check, path = scenario.assert_recorded, f"/v1/executions/{workflow}"
    resume: dict[str, Any] = {"method": "PUT", "body": {"status": "resuming"}}
    check("inquiry-workflow-put-resuming-while-open", path, **resume)
    scenario.clock.advance(100)
    check("inquiry-workflow-resuming-while-open", path)
    check("inquiry-workflow-resuming-again", path, **resume)
    pause: dict[str, Any] = {"method": "PUT", "body": {"status": "pausing"}}
    check("inquiry-workflow-resuming-put-pausing", path, **pause)

    scenario.answer(inquiry, {"approve": True}, "inquiry-put-after-resume")

    scenario.clock.advance(100)
    check("inquiry-workflow-after-resume-and-answer", path)


def test_a_cancel_leaves_the_inquiry_open_and_ignores_its_answer(
    scenario: Scenario, paused_workflow: tuple[str, str]
) -> None:
    workflow, inquiry = paused_workflow
    check, path = scenario.assert_recorded, f"/v1/executions/{workflow}"
    check("inquiry-workflow-delete-paused", path, method="DELETE")
    check("inquiry-workflow-canceled", path)
    check("inquiry-workflow-canceled-children", f"{path}/children")
    check("inquiries-list-after-cancel", "/v1/inquiries")
    check("inquiry-of-canceled-delete", f"/v1/executions/{inquiry}", method="DELETE")

    scenario.answer(inquiry, {"approve": True}, "inquiry-of-canceled-put")

    scenario.clock.advance(100)
    check(
        "inquiry-workflow-canceled-after-answer",
        path_with_attributes(workflow, "status,result,log"),
    )
    assert len(scenario.client.get(f"{path}/children")) == 2


def test_a_workflow_succeeds_when_its_inquiry_expires(scenario: Scenario) -> None:
    plain = scenario.start("core.ask", {"ttl": 1})
    workflow = scenario.start("clienttest.ask_ttl_wf", {"ttl": 1})
    scenario.clock.advance(3.5)
    assert scenario.client.get(f"/v1/executions/{workflow}")["status"] == "running"
    scenario.clock.advance(200)

    check, inquiry = scenario.assert_recorded, scenario.inquiry_of(workflow)
    check("inquiry-ttl-expired-plain", f"/v1/executions/{plain}")
    check("inquiry-ttl-expired-workflow", f"/v1/executions/{workflow}")
    check("inquiry-ttl-expired-workflow-children", f"/v1/executions/{workflow}/children")
    check("inquiry-ttl-expired-get-400", f"/v1/inquiries/{inquiry}")
    scenario.answer(inquiry, {"approve": True}, "inquiry-ttl-expired-put-400")


def test_a_workflow_with_another_active_branch_keeps_running(scenario: Scenario) -> None:
    scenario.client.sandbox.configure(outcomes={"core.local": "running"})
    workflow = scenario.start("clienttest.ask_ttl_wf", {"ttl": 60})
    scenario.clock.advance(5)
    check, by_parent = scenario.assert_recorded, f"/v1/executions?parent={workflow}"
    check(
        "inquiry-workflow-running-beside-ask",
        path_with_attributes(workflow, "status,children,result"),
    )
    check(
        "inquiry-workflow-running-beside-ask-children",
        f"{by_parent}&include_attributes=status,context",
    )

    check("inquiry-workflow-running-delete", f"/v1/executions/{workflow}", method="DELETE")

    other = next(one["id"] for one in scenario.client.get(by_parent) if one["status"] == "running")
    scenario.client.call("DELETE", f"/v1/executions/{other}")
    scenario.clock.advance(100)


def test_a_canceled_workflow_waits_for_its_branch_but_not_for_the_answer(
    scenario: Scenario,
) -> None:
    workflow = scenario.start("clienttest.ask_ttl_wf", {"ttl": 60})
    scenario.clock.advance(3.9)
    scenario.client.call("DELETE", f"/v1/executions/{workflow}")
    scenario.clock.advance(100)

    path = path_with_attributes(workflow, "status,result,log")
    scenario.assert_recorded("inquiry-workflow-running-delete-after", path)
    assert len(scenario.client.get("/v1/inquiries")) == 1


def test_an_inquiry_in_a_sub_workflow_pauses_the_outer_workflow(scenario: Scenario) -> None:
    outer = scenario.start("clienttest.ask_nested_wf")
    scenario.clock.advance(100)
    check, by_parent = scenario.assert_recorded, f"/v1/executions?parent={outer}"
    check("inquiry-nested-paused", f"/v1/executions/{outer}")
    check("inquiry-nested-children", f"/v1/executions/{outer}/children")
    check("inquiry-nested-by-parent", f"{by_parent}&include_attributes=status,action.ref,context")

    scenario.answer(scenario.inquiry_of(outer), {"approve": False}, "inquiry-nested-put-200")

    scenario.clock.advance(100)
    check("inquiry-nested-after-answer", f"/v1/executions/{outer}")


def test_an_action_chain_pauses_for_an_inquiry(scenario: Scenario) -> None:
    chain = scenario.start("examples.chain-test-inquiry")
    scenario.clock.advance(100)
    paused = scenario.assert_recorded("inquiry-in-action-chain", f"/v1/executions/{chain}")
    [task] = paused["result"]["tasks"]
    assert (task["name"], task["state"]) == ("task1", "pending")

    scenario.answer(task["execution_id"], {"continue": True}, "inquiry-in-action-chain-put")

    scenario.clock.advance(100)
    path = f"/v1/executions/{chain}?include_attributes=status,result,log"
    ended = scenario.assert_recorded("inquiry-in-action-chain-after", path)
    assert [one["state"] for one in ended["result"]["tasks"]] == ["succeeded", "succeeded"]


def test_only_an_answer_ends_an_inquiry_without_a_workflow(scenario: Scenario) -> None:
    check = scenario.assert_recorded
    body = {"action": "core.ask", "parameters": PLAIN_INQUIRY}
    body["context"] = {"trace_context": {"trace_tag": "poundcake-2"}}
    inquiry = check("inquiry-plain-post-201", "/v1/executions", method="POST", body=body)["id"]
    scenario.clock.advance(100)
    execution_path = f"/v1/executions/{inquiry}"
    check("inquiry-plain-pending", execution_path)
    check("inquiry-plain-get", f"/v1/inquiries/{inquiry}")
    check("inquiry-plain-delete-200-faultstring", execution_path, method="DELETE")
    check("inquiry-plain-put-canceling", execution_path, method="PUT", body={"status": "canceling"})
    scenario.answer(inquiry, {"approve": True, "when": "never"}, "inquiry-put-invalid-400")
    scenario.answer(inquiry, {}, "inquiry-put-missing-400")
    scenario.answer(inquiry, {"approve": "yes", "extra": 1}, "inquiry-put-additional-property")
    inquiry_path, unknown = f"/v1/inquiries/{inquiry}", "/v1/inquiries/6b0000000000000000000000"
    check("inquiry-put-no-response-key", inquiry_path, method="PUT", body={"id": inquiry})
    answer = {"response": {"approve": True}}
    check("inquiry-put-unknown-404", unknown, method="PUT", body=answer)

    scenario.answer(inquiry, {"approve": True}, "inquiry-plain-put-200")

    check("inquiry-plain-answered", execution_path)
    check("inquiry-get-answered-400", inquiry_path)


@pytest.mark.parametrize(
    "name", ["inquiry-put-not-allowed-403", "inquiry-in-workflow-put-not-allowed-403"]
)
def test_only_the_listed_users_may_answer(scenario: Scenario, name: str) -> None:
    inquiry = scenario.start("core.ask", {**PLAIN_INQUIRY, "users": ["alice"]})
    scenario.clock.advance(100)

    response = scenario.client.call(
        "PUT", f"/v1/inquiries/{inquiry}", {"response": {"approve": True}}
    )

    expected = recordings()[name].body["faultstring"]
    assert response.status == 403
    assert response.body["faultstring"].startswith('User "UserDB(id=')
    assert (
        response.body["faultstring"].partition("permission")[2][:25]
        == expected.partition("permission")[2][:25]
    )


def test_an_execution_that_is_no_inquiry_is_refused(scenario: Scenario) -> None:
    execution = scenario.start("core.noop")
    scenario.clock.advance(100)

    scenario.assert_recorded("inquiry-get-not-an-inquiry-400", f"/v1/inquiries/{execution}")


def test_every_inquiry_recording_is_replayed_or_excluded() -> None:
    names = {name for name in recordings() if name.startswith(("inquiry-", "inquiries-"))}
    source = Path(__file__).read_text(encoding="utf-8")

    assert {name for name in names if f'"{name}"' not in source} == set()
    assert set(EXCLUDED) <= names
