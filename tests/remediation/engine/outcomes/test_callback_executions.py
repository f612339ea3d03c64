"""A rule's execution inherits our trace tag but is never treated as the launched execution."""

import datetime
import json

import pytest
import responses
from django.utils import timezone

from remediation.engine.launching import lookup
from remediation.engine.outcomes import poll, stream
from remediation.models import ActionExecution, Transition
from remediation.stackstorm import StackStormClient
from remediation.stackstorm.executions import read_execution
from tests.factories import make_action, make_bucket, make_execution, make_run, make_step
from tests.paths import CONTRACTS

pytestmark = pytest.mark.django_db

Status = ActionExecution.Status
FOLDER = CONTRACTS / "stackstorm"
HOST = "http://st2.example.com"
TAG = "poundcake-5f0c4d8e-9f5a-4b0e-8f4e-0c3f6d1f7b11"
REFUSED_TAG = "poundcake-00000000-0000-4000-8000-000000000081"


def recorded(name):
    return json.loads((FOLDER / f"{name}.json").read_text())["response"]["body"]


ORIGINAL = recorded("callback-original-get")
CALLBACK = recorded("callback-execution-core-http")
REFUSED = recorded("callback-refused-execution-core-http")


class Recorded:
    """A StackStorm that serves the recorded executions; ``rows``: its response by trace tag."""

    def __init__(self, mock):
        self.mock = mock
        self.rows = recorded("callback-executions-by-trace-tag-whole")
        mock.add_callback("GET", f"{HOST}/v1/executions", lambda _: self._response(self.rows))
        for body in (ORIGINAL, CALLBACK):
            mock.get(f"{HOST}/v1/executions/{body['id']}", json=body)
        self.client = StackStormClient(api_url=HOST, api_key="key", timeout=1)

    def _response(self, body):
        return 200, {"Content-Type": "application/json"}, json.dumps(body)

    @property
    def deleted(self):
        return [call.request.url for call in self.mock.calls if call.request.method == "DELETE"]


@pytest.fixture
def st2():
    with responses.RequestsMock(assert_all_requests_are_fired=False) as mock:
        mock.delete(f"{HOST}/v1/executions/{CALLBACK['id']}", json=CALLBACK)
        yield Recorded(mock)


def make_row(ref="core.local", **columns):
    bucket = make_bucket()
    action = make_action(st2_action_ref=ref, st2_runner="local-shell-cmd")
    make_step(bucket, action, parameters={"cmd": "true"})
    values = {"trace_tag": TAG, "unanswered_launches": 1, "due_at": timezone.now()}
    return make_execution(make_run(bucket, status="running"), **values | columns)


def make_launch(**columns):
    return make_row(status="launching", lookup_until=timezone.now(), **columns)


def test_the_look_up_adopts_the_launched_execution_and_not_its_callback(st2):
    row = make_launch()

    lookup.look_up_due(client=st2.client)

    row.refresh_from_db()
    assert (row.status, row.st2_execution_id) == (Status.RUNNING, ORIGINAL["id"])


@pytest.mark.parametrize("status", ["requested", "running", "failed", "succeeded"])
def test_a_callback_alone_is_neither_adopted_nor_deleted_as_a_ghost(status, st2):
    st2.rows = [CALLBACK | {"status": status}]
    row = make_launch()

    lookup.look_up_due(client=st2.client)

    row.refresh_from_db()
    assert (row.status, row.st2_execution_id, row.st2_ghost_ids) == (Status.PENDING, None, [])
    assert st2.deleted == []


def test_the_callback_of_a_core_http_action_is_not_adopted(st2):
    st2.rows = [CALLBACK]
    row = make_launch(ref="core.http")

    lookup.look_up_due(client=st2.client)

    row.refresh_from_db()
    assert row.st2_execution_id is None


def test_a_callback_is_not_canceled_as_a_duplicate(st2):
    row = make_row(status="running", st2_execution_id=ORIGINAL["id"])

    poll.poll_due(client=st2.client)

    row.refresh_from_db()
    assert (row.status, row.st2_execution_id) == (Status.SUCCESS, ORIGINAL["id"])
    assert (row.st2_ghost_ids, st2.deleted) == ([], [])
    assert row.st2_result == ORIGINAL["result"]


def test_a_row_that_follows_a_callback_is_corrected(st2):
    row = make_row(status="running", st2_execution_id=CALLBACK["id"])

    for _ in range(2):
        ActionExecution.objects.update(due_at=timezone.now())
        poll.poll_due(client=st2.client)

    row.refresh_from_db()
    assert (row.status, row.st2_execution_id) == (Status.SUCCESS, ORIGINAL["id"])
    assert (row.st2_ghost_ids, st2.deleted) == ([], [])
    assert row.st2_result == ORIGINAL["result"]
    move = Transition.objects.get(subject_type="execution", to_status="running")
    assert move.reason.startswith(f"{CALLBACK['id']} was not launched by PoundCake")


@pytest.mark.parametrize(
    ("body", "tag"), [(CALLBACK, TAG), (REFUSED, REFUSED_TAG)], ids=["accepted", "refused"]
)
@pytest.mark.parametrize("status", ["launching", "running", "unknown"])
def test_the_event_of_a_callback_changes_nothing(status, body, tag, caplog):
    later = timezone.now() + datetime.timedelta(hours=1)
    row = make_row(
        trace_tag=tag,
        status=status,
        st2_execution_id=None if status == "launching" else ORIGINAL["id"],
        lookup_until=later if status == "launching" else None,
        due_at=later,
    )
    before = ActionExecution.objects.values().get()

    unmatched = stream.apply_events([read_execution(body)])

    assert unmatched == []
    assert ActionExecution.objects.values().get() == before
    assert not Transition.objects.filter(subject_id=row.pk, subject_type="execution").exists()
    assert "stdout" not in caplog.text
