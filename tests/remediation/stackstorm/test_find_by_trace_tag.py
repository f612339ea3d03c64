"""Find a launch by its trace tag, among executions that inherited the tag."""

from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
import responses

from remediation.stackstorm import StackStormUnavailable, TracedExecution
from tests.remediation.stackstorm.recordings import HOST, add_response, make_client, recording

ID = "6b03d73fc6d7d4de9b9d8860"
MANY = "/v1/executions"


@pytest.mark.parametrize(
    ("name", "tag", "ref", "launched"),
    [
        (
            "callback-workflow-executions-by-trace-tag",
            "poundcake-00000000-0000-4000-8000-000000000002",
            "clienttest.nested_wf",
            "6b0ab168f1d0b61be1aa7fc7",
        ),
        (
            "callback-executions-by-trace-tag-whole",
            "poundcake-5f0c4d8e-9f5a-4b0e-8f4e-0c3f6d1f7b11",
            "core.local",
            "6b0ab145f1d0b61be1aa7fc4",
        ),
    ],
)
def test_an_execution_of_a_rule_is_not_the_launch(
    st2: responses.RequestsMock, name: str, tag: str, ref: str, launched: str
) -> None:
    add_response(st2, name)

    (execution,) = make_client().find_by_trace_tag(tag, action_ref=ref)

    assert (execution.id, execution.action_ref, execution.is_top_level) == (launched, ref, True)


def test_an_execution_of_another_action_is_not_the_launch(st2: responses.RequestsMock) -> None:
    add_response(st2, "callback-executions-by-trace-tag-whole")

    tag = "poundcake-5f0c4d8e-9f5a-4b0e-8f4e-0c3f6d1f7b11"

    assert make_client().find_by_trace_tag(tag, action_ref="core.http") == []


def test_a_response_without_the_action_does_not_prove_absence(st2: responses.RequestsMock) -> None:
    add_response(st2, "callback-executions-by-trace-tag")

    with pytest.raises(StackStormUnavailable, match="shown without its action"):
        find("poundcake-5f0c4d8e-9f5a-4b0e-8f4e-0c3f6d1f7b11")


def test_the_search_excludes_executions_of_rules(st2: responses.RequestsMock) -> None:
    exchange = recording("callback-executions-by-trace-tag-rule-null")
    tag = "poundcake-5f0c4d8e-9f5a-4b0e-8f4e-0c3f6d1f7b11"
    add_response(st2, replace(exchange, body=[]))

    find(tag)

    url = st2.calls[0].request.url or ""
    assert url.startswith(f"{HOST}/v1/executions?{exchange.query.partition('&include_')[0]}&")


def test_the_search_can_be_limited_to_later_executions(st2: responses.RequestsMock) -> None:
    st2.get(f"{HOST}{MANY}", json=[])
    after = datetime(2026, 11, 23, 8, 0, 0, 500000, tzinfo=timezone(timedelta(hours=2)))

    find("client-0001", after=after)

    url = st2.calls[0].request.url or ""
    assert "&timestamp_gt=2026-11-23T06:00:00.500000Z&" in url


def test_retries_of_stackstorm_are_not_the_launch(st2: responses.RequestsMock) -> None:
    exchange = recording("get-executions-retry-policy-all")
    rows = [row | {"action": {"ref": "clienttest.retried"}} for row in exchange.body]
    add_response(st2, replace(exchange, body=rows))

    found = make_client().find_by_trace_tag("retry-1", action_ref="clienttest.retried")

    assert [execution.id for execution in found] == ["6b03d1f8a45708e535751c05"]


@pytest.mark.parametrize(
    ("attributes", "count"),
    [
        ({}, 1),
        ({"context": {"parent": {"execution_id": "e0"}}}, 0),
        ({"context": {"policies": {"retry": {"retry_count": 1}}}}, 0),
        ({"context": {"policies": {"concurrency": {}}}}, 1),
        ({"context": {"re-run": {"ref": "e0"}}}, 0),
        ({"context": {"rule": {"name": "notify_poundcake"}}}, 0),
        ({"context": {"trigger_instance": {"id": "e0"}}}, 0),
        ({"parent": "e0"}, 0),
        ({"rule": {"name": "notify_poundcake"}}, 0),
        ({"trigger_instance": {"id": "e0"}}, 0),
        ({"action": {"ref": "core.http"}}, 0),
    ],
)
def test_only_an_execution_created_by_a_post_is_a_launch(
    st2: responses.RequestsMock, attributes: dict[str, Any], count: int
) -> None:
    row = {"id": ID, "status": "running", "action": {"ref": "core.local"}} | attributes
    row["context"] = attributes.get("context", {}) | {"trace_context": {"trace_tag": "t"}}
    st2.get(f"{HOST}{MANY}", json=[row])

    assert len(find("t")) == count


def test_an_id_that_appears_twice_is_one_execution(st2: responses.RequestsMock) -> None:
    context = {"trace_context": {"trace_tag": "t"}}
    row = {"id": ID, "status": "running", "action": {"ref": "core.local"}, "context": context}
    st2.get(f"{HOST}{MANY}", json=[row, row])

    assert [execution.id for execution in find("t")] == [ID]


def test_executions_without_the_tag_are_not_the_launch(st2: responses.RequestsMock) -> None:
    add_response(st2, "get-executions-limit-minus-1")

    assert find("client-0001") == []


def find(tag: str, **options: Any) -> list[TracedExecution]:
    return make_client().find_by_trace_tag(tag, action_ref="core.local", **options)


@pytest.mark.parametrize(
    "name",
    [
        "callback-execution-core-http",
        "callback-refused-execution-core-http",
        "rerun-whole-workflow-execution",
        "post-re-run-201",
    ],
)
def test_an_execution_caused_by_a_launch_is_not_top_level(
    st2: responses.RequestsMock, name: str
) -> None:
    body = recording(name).body
    st2.get(f"{HOST}/v1/executions/{body['id']}", json=body)

    assert not make_client().execution(body["id"]).is_top_level
