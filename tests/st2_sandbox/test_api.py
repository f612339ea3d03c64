"""The HTTP API: status changes over time, cancels, workflows, faults, lists and credentials."""

import http.client
from typing import Any

import pytest

from st2_sandbox import credentials, store
from st2_sandbox.results import NOTICE

from .client import API_KEY, BASIC_AUTH, BY_TRACE_TAG, TRACE_CONTEXT, Client, Clock


def statuses(client: Client) -> list[str]:
    return [one["status"] for one in client.sandbox.executions]


def test_the_status_of_an_execution_changes_with_time(client: Client, clock: Clock) -> None:
    client.sandbox.configure(duration_seconds=10)
    made = client.post("core.remote", {"cmd": "uptime", "hosts": "a, b"})
    path = f"/v1/executions/{made['id']}"

    seen = [made["status"]]
    for _ in range(3):
        clock.advance(4)
        seen.append(client.get(path)["status"])

    assert seen == ["requested", "running", "running", "succeeded"]
    result = client.get(path)["result"]
    assert list(result) == ["a", "b"]
    assert result["a"]["stdout"] == NOTICE


def test_a_post_returns_status_requested_even_with_no_duration(client: Client) -> None:
    client.sandbox.configure(duration_seconds=0)

    made = client.post("core.noop")

    assert made["status"] == "requested"
    assert [entry["status"] for entry in made["log"]] == ["requested"]
    assert statuses(client) == ["succeeded"]


@pytest.mark.parametrize(
    ("outcome", "has_result", "has_end"),
    [
        ("failed", True, True),
        ("timeout", True, True),
        ("abandoned", False, False),
        ("running", False, False),
        ("requested", False, False),
        ("delayed", False, False),
    ],
)
def test_a_parameter_sets_the_outcome(
    outcome: str, has_result: bool, has_end: bool, client: Client, clock: Clock
) -> None:
    client.post("core.local", {"cmd": f"sandbox:{outcome}"})
    clock.advance(3600)

    seen = client.sandbox.executions[-1]

    assert seen["status"] == outcome
    assert ("result" in seen, "end_timestamp" in seen) == (has_result, has_end)


def test_a_running_action_is_canceling_before_it_is_canceled(client: Client, clock: Clock) -> None:
    made = client.post("core.local", {"cmd": "sandbox:running"})
    clock.advance(1)

    first = client.call("DELETE", f"/v1/executions/{made['id']}").body["status"]
    clock.advance(1)
    second = client.call("DELETE", f"/v1/executions/{made['id']}").body["status"]

    assert (first, second) == ("canceling", "canceled")


def test_secrets_are_masked_without_show_secrets(client: Client) -> None:
    made = client.post("clienttest.secret_echo", {"token": "t", "obj": {"pw": "p", "user": "u"}})
    path = f"/v1/executions/{made['id']}"

    assert made["parameters"] == {"token": "********", "obj": {"pw": "********", "user": "u"}}
    assert made["liveaction"]["parameters"] == made["parameters"]
    assert client.get(f"{path}?show_secrets=true")["parameters"]["token"] == "t"


def test_a_workflow_starts_its_tasks_in_sequence(client: Client, clock: Clock) -> None:
    client.sandbox.configure(duration_seconds=10)
    made = client.post("remediation.host_down", {"host": "web-1"}, context=TRACE_CONTEXT)
    path = f"/v1/executions/{made['id']}"

    clock.advance(5)
    early = client.get(f"{path}/children")
    clock.advance(100)
    late = client.get(f"{path}/children")
    workflow = client.get(path)

    assert [one["status"] for one in early] == ["running"]
    assert [one["context"]["orquesta"]["task_name"] for one in late] == [
        "check_host",
        "restart_service",
    ]
    assert late[1]["parameters"] == {
        "act": "restart",
        "service": "node_exporter",
        "hosts": "web-1",
    }
    assert {one["parent"] for one in late} == {made["id"]}
    assert late[0]["context"]["parent"]["execution_id"] == made["id"]
    assert workflow["children"] == [one["id"] for one in late]
    assert workflow["result"] == {"output": {"host": "web-1", "restarted": "node_exporter"}}
    traced = client.get("/v1/traces?trace_tag=tag-1")[0]["action_executions"]
    assert [one["object_id"] for one in traced] == [made["id"], *workflow["children"]]
    assert client.sandbox.started_twice() == []


@pytest.mark.parametrize(
    ("outcomes", "tasks", "workflow"),
    [
        ({"remediation.host_down": "failed"}, ["succeeded", "failed"], "failed"),
        ({"core.remote": "failed"}, ["failed"], "failed"),
        ({"linux.service": "timeout"}, ["succeeded", "timeout"], "failed"),
        ({"linux.service": "running"}, ["succeeded", "running"], "running"),
        ({"remediation.host_down": "pending"}, ["succeeded", "pending"], "paused"),
        ({"remediation.host_down": "requested"}, [], "requested"),
        ({"remediation.host_down": "abandoned"}, ["succeeded", "abandoned"], "abandoned"),
    ],
)
def test_the_status_of_a_workflow_follows_its_tasks(
    outcomes: dict[str, str], tasks: list[str], workflow: str, client: Client, clock: Clock
) -> None:
    client.sandbox.configure(outcomes=outcomes)
    client.post("remediation.host_down")
    clock.advance(100)

    assert statuses(client) == [workflow, *tasks]


def test_a_canceled_workflow_waits_for_its_current_task_only(client: Client, clock: Clock) -> None:
    client.sandbox.configure(duration_seconds=10)
    made = client.post("remediation.host_down")
    clock.advance(5)

    client.call("DELETE", f"/v1/executions/{made['id']}")
    during = statuses(client)
    clock.advance(100)

    assert during == ["canceling", "running"]
    assert statuses(client) == ["canceled", "succeeded"]


def test_a_cancel_leaves_an_open_inquiry_pending(client: Client, clock: Clock) -> None:
    made = client.post("clienttest.ask_wf")
    clock.advance(10)
    before = statuses(client)

    client.call("DELETE", f"/v1/executions/{made['id']}")
    clock.advance(10)

    assert before == ["paused", "pending"]
    assert statuses(client) == ["canceled", "pending"]


def test_a_ghost_returns_500_and_stays_requested(client: Client, clock: Clock) -> None:
    client.sandbox.configure(ghost_rate=1)

    response = client.call(
        "POST", "/v1/executions", {"action": "core.noop", "context": TRACE_CONTEXT}
    )
    clock.advance(3600)

    assert response.body == {"faultstring": "[Errno 111] ECONNREFUSED"}
    assert [one["status"] for one in client.get(BY_TRACE_TAG)] == ["requested"]
    assert client.sandbox.started_twice() == []


def test_an_error_creates_no_execution(client: Client) -> None:
    client.sandbox.configure(error_rate=1)

    response = client.call(
        "POST", "/v1/executions", {"action": "core.noop", "context": TRACE_CONTEXT}
    )

    assert response.status == 500
    assert client.sandbox.executions == ()
    assert client.sandbox.posts_by_trace_tag() == {"tag-1": 1}


@pytest.mark.parametrize(
    ("fault", "executions", "posts"),
    [("drop_request_rate", 0, {}), ("drop_answer_rate", 1, {"tag-1": 1})],
)
def test_a_dropped_connection_returns_no_response(
    fault: str, executions: int, posts: dict[str, int], client: Client
) -> None:
    client.sandbox.configure(**{fault: 1})

    with pytest.raises((http.client.RemoteDisconnected, ConnectionError)):
        client.call("POST", "/v1/executions", {"action": "core.noop", "context": TRACE_CONTEXT})

    assert len(client.sandbox.executions) == executions
    assert client.sandbox.posts_by_trace_tag() == posts


def test_a_dropped_post_may_start_its_execution_late(client: Client, clock: Clock) -> None:
    client.sandbox.configure(drop_answer_rate=1, land_late_seconds=30)
    with pytest.raises((http.client.RemoteDisconnected, ConnectionError)):
        client.call("POST", "/v1/executions", {"action": "core.noop", "context": TRACE_CONTEXT})

    early, early_traces = client.get(BY_TRACE_TAG), client.get("/v1/traces?trace_tag=tag-1")
    clock.advance(31)

    assert (early, early_traces) == ([], [])
    assert len(client.get(BY_TRACE_TAG)) == 1


def test_a_trace_tag_that_started_twice_is_reported(client: Client, clock: Clock) -> None:
    for _ in range(2):
        client.post("core.noop", context=TRACE_CONTEXT)
    clock.advance(10)

    assert client.sandbox.started_twice() == ["tag-1"]
    assert client.sandbox.posts_by_trace_tag() == {"tag-1": 2}


@pytest.mark.parametrize(("option", "status"), [("unavailable", 503), ("unauthorized", 401)])
def test_all_endpoints_can_be_unavailable(option: str, status: int, client: Client) -> None:
    client.sandbox.configure(**{option: True})

    assert client.call("GET", "/api/v1/user").status == status
    assert client.call("GET", "/sandbox/stats").status == 200


@pytest.mark.parametrize("prefix", ["/v1", "/api/v1", "/api", ""])
def test_the_service_and_the_version_in_a_path_are_optional(prefix: str, client: Client) -> None:
    assert client.call("GET", f"{prefix}/user").body["username"] == "st2admin"


@pytest.mark.parametrize("path", ["/api/v1/tokens", "/auth/v1/user", "/stream/v1/user"])
def test_a_service_serves_only_its_own_paths(path: str, client: Client) -> None:
    assert client.call("GET", path).status == 404


def test_a_result_above_max_result_size_is_omitted(client: Client, clock: Clock) -> None:
    made = client.post("core.noop")
    clock.advance(10)
    path = f"/v1/executions/{made['id']}?max_result_size="

    assert "result" in client.get(f"{path}49")
    assert "result" not in client.get(f"{path}48")


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", [3, 2, 1, 0]),
        ("limit=2", [3, 2]),
        ("limit=2&offset=1", [2, 1]),
        ("limit=-1", [3, 2, 1, 0]),
        ("action=core.local", [2]),
        ("runner=local-shell-cmd", [2]),
        ("status=failed", [2]),
        ("status=failed,succeeded", []),
        ("user=nobody", []),
        ("rule=x.y", []),
        ("parent=null", [3, 2, 1, 0]),
        ("sort_asc=true", [0, 1, 2, 3]),
        ("timestamp_gt=2000-01-01T00:00:00Z&limit=2", [0, 1]),
        ("timestamp_lt=2000-01-01T00:00:00Z", []),
        ("filter=parameters.cmd:sandbox:failed", [2]),
        ("filter=status:succeeded%20action.ref:core.noop", [3, 1, 0]),
        ("nonsense=5", [3, 2, 1, 0]),
    ],
)
def test_a_list_is_filtered_sorted_and_paged(
    query: str, expected: list[int], client: Client, clock: Clock
) -> None:
    made = []
    for action, parameters in (
        ("core.noop", {}),
        ("core.noop", {}),
        ("core.local", {"cmd": "sandbox:failed"}),
        ("core.noop", {}),
    ):
        made.append(client.post(action, parameters)["id"])
        clock.advance(1)

    rows = client.get(f"/v1/executions?{query}")

    assert [made.index(row["id"]) for row in rows] == expected


def test_attributes_are_included_and_excluded(client: Client) -> None:
    made = client.post("core.noop", context=TRACE_CONTEXT)
    path = f"/v1/executions/{made['id']}"

    row = client.get(f"{path}?include_attributes=status,context.trace_context,end_timestamp")

    assert row == {"id": made["id"], "status": "requested", "context": TRACE_CONTEXT}
    assert "status" not in client.get(f"{path}?exclude_attributes=status")


def test_packs_can_be_removed_and_actions_added(client: Client) -> None:
    ping: dict[str, Any] = {"runner_type": "local-shell-cmd", "description": "Ping a host"}
    client.sandbox.configure(packs=["core"], actions={"network.ping": ping})

    assert client.call("GET", "/v1/actions/linux.service").status == 404
    assert client.call("GET", "/v1/packs/linux").status == 404
    assert client.get("/v1/actions/network.ping")["description"] == "Ping a host"
    assert client.get("/v1/packs/network")["ref"] == "network"


def test_a_parameter_can_read_the_datastore(client: Client) -> None:
    client.sandbox.configure(datastore={"system.demo": "a secret"})

    made = client.post("core.local", {"cmd": "echo {{ st2kv.system.demo }}"})

    assert made["parameters"] == {"cmd": "echo a secret"}


def test_only_the_newest_executions_are_kept(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "MAX_EXECUTIONS", 3)
    made = [client.post("core.noop", context=TRACE_CONTEXT)["id"] for _ in range(5)]

    assert [one["id"] for one in client.sandbox.executions] == made[2:]
    assert [row["id"] for row in client.get(BY_TRACE_TAG)] == made[:1:-1]


def test_a_token_is_valid_until_it_expires(client: Client, clock: Clock) -> None:
    token = client.call("POST", "/auth/v1/tokens", {"ttl": 60}, BASIC_AUTH).body["token"]

    early = client.call("GET", "/v1/user", headers={"X-Auth-Token": token}).status
    clock.advance(61)
    late = client.call("GET", "/v1/user", headers={"X-Auth-Token": token})

    assert (early, late.status) == (200, 401)
    assert late.body == {"faultstring": "Unauthorized - Token has expired."}


@pytest.mark.parametrize(
    ("ttl", "authorization", "status"),
    [("x", "c3QyYWRtaW46Q2hAbmdlTWU=", 400), (60, "!", 401), (60, "c3QyYWRtaW46", 401)],
)
def test_a_token_requires_a_valid_ttl_and_valid_credentials(
    ttl: object, authorization: str, status: int, client: Client
) -> None:
    headers = {"Authorization": f"Basic {authorization}"}

    assert client.call("POST", "/tokens", {"ttl": ttl}, headers).status == status


def test_only_the_newest_tokens_are_kept(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(credentials, "MAX_TOKENS", 1)
    tokens = [client.call("POST", "/tokens", {}, BASIC_AUTH).body["token"] for _ in range(2)]

    accepted = [client.call("GET", "/user", headers={"X-Auth-Token": one}).status for one in tokens]

    assert accepted == [401, 200]


def test_packs_are_listed(client: Client) -> None:
    assert "linux" in [pack["ref"] for pack in client.get("/v1/packs")]


def test_the_request_id_of_the_client_is_returned(client: Client) -> None:
    headers = {"St2-Api-Key": API_KEY, "X-Request-ID": "mine"}

    assert client.call("GET", "/v1/user", headers=headers).headers["X-Request-ID"] == "mine"
