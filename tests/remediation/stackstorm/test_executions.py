"""Reading executions: one, several, and the tasks of a workflow."""

from datetime import UTC, datetime

import pytest
import responses

from remediation.stackstorm import (
    FINAL_STATUSES,
    KNOWN_STATUSES,
    StackStormRejected,
    StackStormUnavailable,
    StatusChange,
)
from tests.remediation.stackstorm.recordings import (
    HOST,
    add_response,
    make_client,
    names,
    recording,
)

ID = "6b03d73fc6d7d4de9b9d8860"
ONE = f"/v1/executions/{ID}"
MANY = "/v1/executions"

# get-execution-* with other contents than one execution
OTHER_SHAPES = {
    "get-execution-after-rabbit-down",
    "get-execution-attribute-invalid-400",
    "get-execution-attribute-result",
    "get-execution-attribute-status",
    "get-execution-left-by-the-400",
    "get-execution-malformed-id-404",
    "get-execution-output",
    "get-execution-output-running",
    "get-execution-output-stdout",
    "get-execution-result-raw",
    "get-execution-unknown-404",
}
CHILDREN = names("get-execution-*children*")
EXECUTIONS = [
    *(name for name in names("get-execution-*") if name not in {*OTHER_SHAPES, *CHILDREN}),
    "api-restarted-after-rabbit-back-execution",
    "rbac-execution-view-200",
    "rbac-show-secrets-non-admin",
]

# recording -> number of executions
LISTS = {
    "api-key-and-token-both": 1,
    "api-with-token-200": 1,
    "api-with-token-in-query-200": 1,
    "get-execution-after-rabbit-down": 1,
    "get-execution-left-by-the-400": 1,
    "get-executions-by-150-ids": 0,
    "get-executions-by-ids-batch": 3,
    "get-executions-by-ids-one-unknown": 1,
    "get-executions-by-ids-repeated-param": 1,
    "get-executions-by-parent": 2,
    "get-executions-by-runner": 0,
    "get-executions-by-status": 2,
    "get-executions-by-two-statuses": 0,
    "get-executions-by-unknown-status": 0,
    "get-executions-by-user": 1,
    "get-executions-filter-context-any-key": 1,
    "get-executions-filter-context-int": 0,
    "get-executions-filter-parameter": 1,
    "get-executions-filter-status": 2,
    "get-executions-filter-trace-tag": 1,
    "get-executions-limit-minus-1": 38,
    "get-executions-limit-over-maximum": 38,
    "get-executions-minimal": 1,
    "get-executions-offset": 2,
    "get-executions-parent-null": 2,
    "get-executions-retry-policy-all": 3,
    "get-executions-sort": 2,
    "get-executions-timestamp-gt": 2,
    "get-executions-timestamp-lt": 2,
    "get-executions-unknown-query-param-is-ignored": 2,
    "nginx-api-without-v1": 1,
    "rbac-list-show-secrets": 1,
}
LIST_REFUSALS = [
    "get-execution-attribute-invalid-400",
    "get-executions-by-170-ids-line-too-long",
    "get-executions-by-malformed-id-400",
    "get-executions-exclude-invalid-400",
    "get-executions-filter-unknown-field-400",
    "get-executions-filter-with-space-400",
    "get-executions-include-and-exclude-400",
    "get-executions-include-elapsed-seconds-400",
    "get-executions-include-result-subfield-400",
    "get-executions-limit-0-400",
    "get-executions-limit-not-integer-400",
    "get-executions-timestamp-bad-400",
    "nginx-170-ids-400",
    "nginx-400-ids-414",
    "rbac-executions-list-403",
    "rbac-limit-minus-1-403",
    "rbac-limit-over-maximum-403",
]
ONE_REFUSALS = [
    "get-execution-malformed-id-404",
    "get-execution-unknown-404",
    "rbac-execution-view-403",
]


def time_of(stamp: str | None) -> datetime | None:
    return (stamp and datetime.fromisoformat(stamp)) or None


@pytest.mark.parametrize("name", EXECUTIONS)
def test_a_recorded_execution_is_read(st2: responses.RequestsMock, name: str) -> None:
    body = recording(name).body
    add_response(st2, name, path=f"{MANY}/{body['id']}")

    execution = make_client().execution(body["id"])

    assert execution.id == body["id"]
    assert execution.status == body["status"]
    assert execution.status in KNOWN_STATUSES
    assert execution.result == body.get("result")
    assert execution.parameters == body.get("parameters", {})
    assert execution.context == body.get("context", {})
    assert execution.start_timestamp == time_of(body.get("start_timestamp"))
    assert execution.end_timestamp == time_of(body.get("end_timestamp"))
    assert execution.children == tuple(body.get("children", ()))
    assert [entry.status for entry in execution.log] == [
        entry["status"] for entry in body.get("log", ())
    ]


def test_the_attributes_of_an_execution_are_typed(st2: responses.RequestsMock) -> None:
    add_response(st2, "get-execution-with-trace-tag")

    execution = make_client().execution(recording("get-execution-with-trace-tag").body["id"])

    assert execution.action_ref == "core.local"
    assert execution.runner_name == "local-shell-cmd"
    assert execution.trace_tag == "client-0001"
    assert execution.is_top_level
    assert execution.start_timestamp == datetime(2026, 11, 23, 6, 3, 43, 754978, tzinfo=UTC)
    assert execution.log[0] == StatusChange(
        "requested", datetime(2026, 11, 23, 6, 3, 43, 757000, tzinfo=UTC)
    )
    assert (execution.parent_id, execution.task_name, execution.children) == ("", "", ())


@pytest.mark.parametrize("name", CHILDREN)
def test_the_tasks_of_a_workflow_are_read(st2: responses.RequestsMock, name: str) -> None:
    add_response(st2, name, path=f"{ONE}/children")

    children = make_client().children(ID)

    for child, body in zip(children, recording(name).body, strict=True):
        assert child.id == body["id"]
        assert child.task_name == body["context"]["orquesta"]["task_name"]
        assert child.parent_id == body["parent"]
        assert not child.is_top_level


def test_the_task_of_an_action_chain_is_named_by_the_chain(st2: responses.RequestsMock) -> None:
    context = {"parent": {"execution_id": "e0"}, "chain": {"name": "c1", "ref": "core.local"}}
    st2.get(f"{HOST}{ONE}", json={"id": ID, "status": "running", "context": context})

    execution = make_client().execution(ID)

    assert (execution.parent_id, execution.task_name) == ("e0", "c1")


def test_a_liveaction_may_be_a_plain_id(st2: responses.RequestsMock) -> None:
    st2.get(f"{HOST}{ONE}", json={"id": ID, "status": "running", "liveaction": "l1"})

    execution = make_client().execution(ID)

    assert execution.liveaction_id == "l1"


@pytest.mark.parametrize("name", LISTS)
def test_a_recorded_list_is_read(st2: responses.RequestsMock, name: str) -> None:
    add_response(st2, name, path=MANY)
    bodies = recording(name).body

    states = make_client().executions([ID, *(body["id"] for body in bodies)])

    assert len(bodies) == LISTS[name]
    # Some were recorded without the status, which the client always requests.
    recorded = [(body["id"], body["status"]) for body in bodies if "status" in body]
    assert [(state.id, state.status) for state in states] == recorded


@pytest.mark.parametrize("name", LIST_REFUSALS)
def test_a_refused_list_has_the_error_text_of_stackstorm(
    st2: responses.RequestsMock, name: str
) -> None:
    add_response(st2, name, path=MANY)

    with pytest.raises(StackStormRejected) as caught:
        make_client().executions([ID])

    recorded = recording(name)
    assert caught.value.status == recorded.status
    if isinstance(recorded.body, dict):
        assert caught.value.message == recorded.body["faultstring"]
    assert "<" not in caught.value.message.replace("<class", "")


@pytest.mark.parametrize("name", ONE_REFUSALS)
def test_a_refused_execution_has_the_error_text_of_stackstorm(
    st2: responses.RequestsMock, name: str
) -> None:
    add_response(st2, name, path=ONE)

    with pytest.raises(StackStormRejected) as caught:
        make_client().execution(ID)

    assert caught.value.status == recording(name).status
    assert caught.value.message == recording(name).body["faultstring"]


def test_many_executions_are_read_in_one_short_request(st2: responses.RequestsMock) -> None:
    add_response(st2, "get-executions-by-ids-batch")
    ids = [f"{number:024x}" for number in range(100)]

    make_client().executions(ids)

    url = st2.calls[0].request.url or ""
    assert url == (
        f"{HOST}{MANY}?id={','.join(ids)}"
        "&include_attributes=status,start_timestamp,end_timestamp&limit=100"
    )
    assert len(url) < 4094


def test_more_than_a_hundred_ids_are_refused() -> None:
    with pytest.raises(ValueError, match="at most 100 executions"):
        make_client().executions([ID] * 101)


@pytest.mark.parametrize("ids", [[], [""], ["not-an-id", "a,b", "&limit=-1", "A" * 24]])
def test_no_request_is_sent_without_a_valid_id(ids: list[str]) -> None:
    assert make_client().executions(ids) == []


def test_an_invalid_id_does_not_affect_the_others(st2: responses.RequestsMock) -> None:
    add_response(st2, "get-executions-by-ids-one-unknown")

    make_client().executions(["not-an-id", ID])

    assert f"id={ID}&" in (st2.calls[0].request.url or "")


@pytest.mark.parametrize("body", ["{}", "null", '"x"', "<html>proxy login</html>"])
def test_a_response_that_is_not_a_list_is_unavailable(
    st2: responses.RequestsMock, body: str
) -> None:
    st2.get(f"{HOST}{MANY}", body=body)

    with pytest.raises(StackStormUnavailable, match="Check ST2_API_URL"):
        make_client().executions([ID])


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_a_temporary_error_is_unavailable(st2: responses.RequestsMock, status: int) -> None:
    st2.get(f"{HOST}{ONE}", status=status, json={"faultstring": "Internal Server Error"})

    with pytest.raises(StackStormUnavailable) as caught:
        make_client().execution(ID)

    assert caught.value.status == status


def test_an_id_is_quoted_in_the_path(st2: responses.RequestsMock) -> None:
    st2.get(f"{HOST}/v1/executions/x%2F..%2F..%2Fapikeys", json={"id": ID, "status": "running"})

    with pytest.raises(StackStormUnavailable):
        make_client().execution("x/../../apikeys")

    assert len(st2.calls) == 1


def test_final_statuses_are_known() -> None:
    assert len(KNOWN_STATUSES) == 14
    assert FINAL_STATUSES < KNOWN_STATUSES
