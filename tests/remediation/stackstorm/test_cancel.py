"""Cancel: every recorded response to a DELETE."""

import pytest
import responses

from remediation.stackstorm import CancelResult, StackStormRejected, StackStormUnavailable
from tests.remediation.stackstorm.recordings import HOST, add_response, make_client, recording

ID = "6b03d74dc6d7d4de9b9d88a9"
PATH = f"/v1/executions/{ID}"

# recording -> (result, whether the execution had already ended)
RESULTS = {
    "delete-execution-already-canceled": (CancelResult("canceled", True), False),
    "delete-execution-already-succeeded": (CancelResult("succeeded", False), True),
    "delete-execution-ghost-requested": (CancelResult("canceled", True), False),
    "delete-execution-not-yet-scheduled": (CancelResult("canceled", True), False),
    "delete-execution-orquesta": (CancelResult("canceling", True), False),
    "delete-execution-pending-inquiry": (CancelResult("pending", False), False),
    "delete-execution-running": (CancelResult("canceling", True), False),
    "delete-execution-twice-at-once": (CancelResult("canceled", True), False),
    "rbac-delete-execution": (CancelResult("succeeded", False), True),
}


@pytest.mark.parametrize("name", RESULTS)
def test_a_recorded_response_is_read(st2: responses.RequestsMock, name: str) -> None:
    st2_id = recording(name).body.get("id", ID)
    add_response(st2, name, path=f"/v1/executions/{st2_id}")

    canceled = make_client().cancel(st2_id)

    assert (canceled, canceled.already_final) == RESULTS[name]


def test_an_unknown_execution_is_rejected(st2: responses.RequestsMock) -> None:
    add_response(st2, "delete-execution-unknown-404", path=PATH)

    with pytest.raises(StackStormRejected, match="Unable to identify resource") as caught:
        make_client().cancel(ID)

    assert caught.value.status == 404


def test_an_unknown_refusal_is_unavailable(st2: responses.RequestsMock) -> None:
    st2.delete(f"{HOST}{PATH}", json={"faultstring": "Not today."})

    with pytest.raises(StackStormUnavailable, match=r"Not today\."):
        make_client().cancel(ID)


GHOST = "6b0ab4b5f1d0b61be1aa8090"


@pytest.mark.parametrize(
    ("shown", "status"),
    [("rabbit-down-ghost-after-delete", "canceled"), ("rabbit-down-executions-by-tag", None)],
)
def test_the_execution_is_read_after_a_500(
    st2: responses.RequestsMock, shown: str, status: str | None
) -> None:
    """Without RabbitMQ, StackStorm cancels the execution but responds 500."""
    add_response(st2, "rabbit-down-delete-ghost", path=f"/v1/executions/{GHOST}")
    body = recording(shown).body
    st2.get(f"{HOST}/v1/executions", json=body if isinstance(body, list) else [body])

    if status:
        assert make_client().cancel(GHOST) == CancelResult(status, is_accepted=True)
        return
    with pytest.raises(StackStormUnavailable, match="Failed canceling execution"):
        make_client().cancel(GHOST)
