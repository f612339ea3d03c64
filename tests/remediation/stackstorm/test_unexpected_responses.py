"""Responses about other objects, which must not affect the results for valid ones."""

from typing import Any

import pytest
import responses

from remediation.stackstorm import StackStormUnavailable
from remediation.stackstorm.typed_json import as_time
from tests.remediation.stackstorm.recordings import HOST, make_client, recording

ONE, TWO, OTHER = (f"6b03d73fc6d7d4de9b9d886{digit}" for digit in "012")
MANY = f"{HOST}/v1/executions"
SECRET = "printed-by-an-action"


def state(id_: Any = ONE, status: Any = "running") -> dict[str, Any]:
    return {"id": id_, "status": status, "result": {"stdout": SECRET}}


INVALID: list[Any] = [
    {},
    None,
    "x",
    7,
    [],
    {"status": "running"},
    {"id": None, "status": "running"},
    {"id": "", "status": "running"},
    {"id": "a" * 101, "status": "running"},
    {"id": "a b", "status": "running"},
    {"id": TWO},
    {"id": TWO, "status": None},
    {"id": TWO, "status": {"a": 1}},
]


@pytest.mark.parametrize("value", INVALID)
@pytest.mark.parametrize("method", ["executions", "results"])
def test_an_invalid_item_does_not_affect_the_others(
    st2: responses.RequestsMock, method: str, value: Any
) -> None:
    st2.get(MANY, json=[value, state()])

    found = getattr(make_client(), method)([ONE, TWO])

    assert [one.id for one in found] == [ONE]


@pytest.mark.parametrize("method", ["executions", "results"])
def test_an_execution_that_was_not_requested_is_left_out(
    st2: responses.RequestsMock, method: str
) -> None:
    st2.get(MANY, json=[state(OTHER, "succeeded"), state()])

    found = getattr(make_client(), method)([ONE])

    assert [one.id for one in found] == [ONE]


def test_an_execution_that_appears_twice_is_left_out(st2: responses.RequestsMock) -> None:
    st2.get(MANY, json=[state(), state(ONE, "failed"), state(TWO)])

    assert [one.id for one in make_client().executions([ONE, TWO])] == [TWO]


def test_a_response_about_another_execution_is_unavailable(st2: responses.RequestsMock) -> None:
    st2.get(f"{MANY}/{ONE}", json=state(OTHER))

    with pytest.raises(StackStormUnavailable, match=f"about the execution {OTHER}") as caught:
        make_client().execution(ONE)

    assert SECRET not in str(caught.value)


def test_a_cancel_response_about_another_execution_is_unavailable(
    st2: responses.RequestsMock,
) -> None:
    st2.delete(f"{MANY}/{ONE}", json=state(OTHER, "canceling"))

    with pytest.raises(StackStormUnavailable, match=f"about the execution {OTHER}"):
        make_client().cancel(ONE)


def test_a_launch_response_with_another_trace_tag_is_ambiguous(st2: responses.RequestsMock) -> None:
    st2.post(MANY, status=201, json=recording("post-execution-trace-tag-201").body)

    with pytest.raises(StackStormUnavailable, match="another trace tag") as caught:
        make_client().run_action("core.local", {}, trace_tag="mine")

    assert caught.value.may_have_been_sent


@pytest.mark.parametrize("value", INVALID)
def test_a_launch_response_without_an_execution_is_ambiguous(
    st2: responses.RequestsMock, value: Any
) -> None:
    st2.post(MANY, status=201, json=value)

    with pytest.raises(StackStormUnavailable) as caught:
        make_client().run_action("core.local", {}, trace_tag="mine")

    assert caught.value.may_have_been_sent


def test_children_are_unique_and_exclude_the_workflow(
    st2: responses.RequestsMock,
) -> None:
    st2.get(f"{MANY}/{ONE}/children", json=[state(TWO), {}, state(ONE), state(TWO), state(OTHER)])

    assert [child.id for child in make_client().children(ONE)] == [TWO, OTHER]


def test_a_response_about_another_action_is_unavailable(st2: responses.RequestsMock) -> None:
    overview = recording("get-action-overview-core-local").body
    st2.get(f"{HOST}/v1/actions/views/overview/core.remote", json=overview)

    with pytest.raises(StackStormUnavailable, match=r"about the action core\.local"):
        make_client().action("core.remote")


@pytest.mark.parametrize("text", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "x"])
def test_an_invalid_time_is_none(text: str) -> None:
    assert as_time(text) is None
