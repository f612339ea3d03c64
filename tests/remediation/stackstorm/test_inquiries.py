"""Inquiries, read from recorded responses."""

import pytest
import responses

from remediation.stackstorm import StackStormUnavailable, inquiries_among, ttl_of
from remediation.stackstorm.responses import read_error_text
from tests.remediation.stackstorm.recordings import HOST, add_response, make_client, recording

WORKFLOW = "6b0ab193f1d0b61be1aa7fd0"
ASK = "6b0ab195f61463f7f50ce075"


def test_the_open_inquiries_of_a_workflow_are_read_in_one_request(
    st2: responses.RequestsMock,
) -> None:
    add_response(st2, "inquiry-list-pending-by-parent", path="/v1/executions")

    [inquiry] = make_client().pending_inquiries(WORKFLOW)

    assert (inquiry.id, inquiry.is_open, inquiry.task_name) == (ASK, True, "ask")
    assert (inquiry.workflow_id, inquiry.route, inquiry.ttl_minutes) == (WORKFLOW, "ops", 60)
    assert inquiry.users == ("st2admin", "alice")
    properties = inquiry.schema["properties"]
    assert isinstance(properties, dict)
    assert "approve" in properties
    [call] = st2.calls
    assert f"parent={WORKFLOW}&status=pending&runner=inquirer" in str(call.request.url)


def test_inquiries_of_other_workflows_are_left_out(st2: responses.RequestsMock) -> None:
    """StackStorm ignores unknown filters."""
    add_response(st2, "inquiry-list-pending-by-parent", path="/v1/executions")

    assert make_client().pending_inquiries("0" * 24) == []


def test_an_invalid_id_is_not_sent() -> None:
    assert make_client().pending_inquiries("") == []
    assert make_client().has_paused_task("not an id") is False


@pytest.mark.parametrize(
    ("name", "parent", "is_paused"),
    [
        ("inquiry-nested-by-parent", "6b0ab35df1d0b61be1aa805e", True),
        ("inquiry-list-of-parent", WORKFLOW, False),
    ],
)
def test_a_paused_sub_workflow_is_detected(
    name: str, parent: str, is_paused: bool, st2: responses.RequestsMock
) -> None:
    add_response(st2, name, path="/v1/executions")

    assert make_client().has_paused_task(parent) is is_paused


def test_an_inquiry_without_a_workflow_is_read_by_its_id(st2: responses.RequestsMock) -> None:
    add_response(st2, "inquiry-plain-pending")

    inquiry = make_client().inquiry("6b0ab172f1d0b61be1aa7fca")

    assert (inquiry.is_open, inquiry.workflow_id, inquiry.task_name) == (True, "", "")


@pytest.mark.parametrize(
    ("name", "parent", "expired"),
    [
        (
            "inquiry-ttl-expired-workflow-children",
            "6b0ab350f1d0b61be1aa805b",
            ["the inquiry 6b0ab354f61463f7f50ce641 (task ask) expired unanswered after 1 minute"],
        ),
        ("inquiry-nested-children", "6b0ab35df1d0b61be1aa805e", []),
    ],
)
def test_an_inquiry_among_children_has_its_expiry(
    name: str, parent: str, expired: list[str], st2: responses.RequestsMock
) -> None:
    add_response(st2, name, path=f"/v1/executions/{parent}/children")

    found = inquiries_among(make_client().children(parent))

    assert [one.expired for one in found if one.is_expired] == expired
    assert len(found) == 1


@pytest.mark.parametrize("name", ["inquiry-put-not-allowed-403"])
def test_a_user_record_in_an_error_text_is_shown_as_its_name(name: str) -> None:
    body = recording(name).body

    text = read_error_text(b"", body, secrets=())

    assert text == (
        'User "bob" does not have permission to respond to inquiry "6b0ab172f1d0b61be1aa7fca".'
    )


@pytest.mark.parametrize("result", [None, "text", {"stdout": "x"}, {"tasks": []}])
def test_other_results_have_no_ttl(result: object) -> None:
    assert ttl_of(result) is None


def test_a_response_that_is_not_a_list_is_unavailable(st2: responses.RequestsMock) -> None:
    st2.get(f"{HOST}/v1/executions", json={"faultstring": "unexpected"})

    with pytest.raises(StackStormUnavailable):
        make_client().pending_inquiries(WORKFLOW)
