"""Every status of StackStorm, known or not, is applied to every status of ours."""

import datetime
from dataclasses import replace

import pytest
from django.utils import timezone

from remediation.engine.launching import lookup, recover
from remediation.engine.outcomes import poll, poll_hints
from remediation.models import ActionExecution, BucketRun, Transition
from remediation.stackstorm import KNOWN_STATUSES, StackStormClient
from tests.factories import make_action, make_bucket, make_execution, make_run, make_step
from tests.remediation.engine.invariants import OUR_STATUS

pytestmark = [pytest.mark.django_db, pytest.mark.slow]

UNKNOWN_STATUSES = ("", "on-hold", "Succeeded", "success", "x" * 60)
STATUSES = (*sorted(KNOWN_STATUSES), *UNKNOWN_STATUSES)
RUN_STATUS = {
    "pending": "pending",
    "launching": "running",
    "running": "running",
    "unknown": "unknown",
}
RUN_STATUS_AFTER = {
    "success": "success",
    "failure": "failure",
    "timeout": "timeout",
    "skipped": "canceled",
}


class OneStatusClient(StackStormClient):
    """Reports one status for every execution."""

    remote_status: str

    def executions(self, ids):
        return [replace(state, status=self.remote_status) for state in super().executions(ids)]

    def execution(self, execution_id):
        return replace(super().execution(execution_id), status=self.remote_status)

    def find_by_trace_tag(self, tag, **options):
        found = super().find_by_trace_tag(tag, **options)
        return [replace(execution, status=self.remote_status) for execution in found]


@pytest.fixture
def apply_status(sandbox):
    """Make a row with this status, report this StackStorm status in every read, run all workers."""
    sandbox.configure(outcomes={"core.local": "running"})
    client = OneStatusClient(api_url=sandbox.url, api_key="sandbox-key", timeout=2)

    def apply(remote_status, status):
        client.remote_status = remote_status
        row = row_in(status)
        remote = client.run_action("core.local", {"cmd": "true"}, trace_tag=row.trace_tag)
        if status not in ("pending", "launching"):
            ActionExecution.objects.update(st2_execution_id=remote.id)
        poll_hints.hint(st2_execution_id=remote.id, trace_tag=row.trace_tag)
        poll.poll_due(client=client)
        lookup.look_up_due(client=client)
        recover.recover()
        row.refresh_from_db()
        return row

    yield apply
    client.close()


def row_in(status):
    bucket = make_bucket()
    make_step(bucket, make_action(st2_runner="local-shell-cmd"), parameters={"cmd": "true"})
    run = make_run(bucket, status=RUN_STATUS.get(status, "success"))
    now = timezone.now()
    return make_execution(
        run,
        status=status,
        due_at=None if status in ActionExecution.FINAL else now,
        started_at=None if status == "pending" else now,
        lookup_until=now + datetime.timedelta(minutes=5) if status == "launching" else None,
    )


@pytest.mark.parametrize("remote_status", STATUSES)
@pytest.mark.parametrize("status", ["running", "unknown"])
def test_a_started_execution_is_settled_by_a_final_status_and_stores_any_other(
    status, remote_status, apply_status
):
    row = apply_status(remote_status, status)

    assert row.status == OUR_STATUS.get(remote_status, status)
    assert row.st2_action_execution_status == remote_status[:50]
    assert BucketRun.objects.get().status == RUN_STATUS_AFTER.get(row.status, status)


@pytest.mark.parametrize("remote_status", STATUSES)
def test_a_launch_without_a_response_is_adopted_in_any_status_but_requested(
    remote_status, apply_status
):
    row = apply_status(remote_status, "launching")

    if remote_status == "requested":
        assert (row.status, row.st2_execution_id) == ("launching", None)
    else:
        assert (row.status, row.st2_action_execution_status) == ("running", remote_status[:50])
        assert row.st2_execution_id


@pytest.mark.parametrize("remote_status", STATUSES)
@pytest.mark.parametrize("status", ["pending", *sorted(ActionExecution.FINAL)])
def test_a_pending_or_final_execution_ignores_every_status(status, remote_status, apply_status):
    row = apply_status(remote_status, status)

    assert (row.status, row.st2_action_execution_status) == (status, "")
    assert BucketRun.objects.get().status == RUN_STATUS.get(status, "success")
    assert not Transition.objects.exists()


def test_every_status_of_ours_is_covered():
    started, looked_up = {"running", "unknown"}, {"launching"}

    assert {*ActionExecution.Status} == started | looked_up | {"pending"} | ActionExecution.FINAL
