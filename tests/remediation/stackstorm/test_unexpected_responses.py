"""Answers that are about something else: they cost the execution that was asked for, no other."""

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


ODD = [
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


@pytest.mark.parametrize("odd", ODD)
@pytest.mark.parametrize("method", ["executions", "results"])
def test_a_member_that_cannot_be_read_costs_no_other(
    st2: responses.RequestsMock, method: str, odd: Any
) -> None:
    st2.get(MANY, json=[odd, state()])

    found = getattr(make_client(), method)([ONE, TWO])

    assert [one.id for one in found] == [ONE]


@pytest.mark.parametrize("method", ["executions", "results"])
def test_what_was_not_asked_for_is_left_out(st2: responses.RequestsMock, method: str) -> None:
    st2.get(MANY, json=[state(OTHER, "succeeded"), state()])

    found = getattr(make_client(), method)([ONE])

    assert [one.id for one in found] == [ONE]


def test_an_id_that_is_shown_twice_has_no_status(st2: responses.RequestsMock) -> None:
    st2.get(MANY, json=[state(), state(ONE, "failed"), state(TWO)])

    assert [one.id for one in make_client().executions([ONE, TWO])] == [TWO]


def test_the_answer_about_another_execution_is_none(st2: responses.RequestsMock) -> None:
    st2.get(f"{MANY}/{ONE}", json=state(OTHER))

    with pytest.raises(StackStormUnavailable, match=f"about the execution {OTHER}") as caught:
        make_client().execution(ONE)

    assert SECRET not in str(caught.value)


def test_the_cancel_of_another_execution_is_none(st2: responses.RequestsMock) -> None:
    st2.delete(f"{MANY}/{ONE}", json=state(OTHER, "canceling"))

    with pytest.raises(StackStormUnavailable, match=f"about the execution {OTHER}"):
        make_client().cancel(ONE)


def test_a_launch_is_not_the_execution_of_another_tag(st2: responses.RequestsMock) -> None:
    st2.post(MANY, status=201, json=recording("post-execution-trace-tag-201").body)

    with pytest.raises(StackStormUnavailable, match="another trace tag") as caught:
        make_client().run_action("core.local", {}, trace_tag="mine")

    assert caught.value.may_have_been_sent


@pytest.mark.parametrize("odd", ODD)
def test_a_launch_without_an_execution_may_have_happened(
    st2: responses.RequestsMock, odd: Any
) -> None:
    st2.post(MANY, status=201, json=odd)

    with pytest.raises(StackStormUnavailable) as caught:
        make_client().run_action("core.local", {}, trace_tag="mine")

    assert caught.value.may_have_been_sent


def test_tasks_are_told_once_and_the_workflow_is_none_of_its_tasks(
    st2: responses.RequestsMock,
) -> None:
    st2.get(f"{MANY}/{ONE}/children", json=[state(TWO), {}, state(ONE), state(TWO), state(OTHER)])

    assert [child.id for child in make_client().children(ONE)] == [TWO, OTHER]


def test_the_answer_about_another_action_is_none(st2: responses.RequestsMock) -> None:
    overview = recording("get-action-overview-core-local").body
    st2.get(f"{HOST}/v1/actions/views/overview/core.remote", json=overview)

    with pytest.raises(StackStormUnavailable, match=r"about the action core\.local"):
        make_client().action("core.remote")


@pytest.mark.parametrize("text", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "x"])
def test_a_time_that_no_calendar_has_is_none(text: str) -> None:
    assert as_time(text) is None
