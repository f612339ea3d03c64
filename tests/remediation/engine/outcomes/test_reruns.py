"""Re-runs by users in StackStorm are recorded and never settle our execution."""

import json
from datetime import timedelta

import pytest
import requests
import responses
from django.utils import timezone

from remediation.engine.launching import launch
from remediation.engine.outcomes import poll, reruns, stream
from remediation.models import ActionExecution, JobSchedule, Rerun, Transition
from remediation.stackstorm import StackStormClient
from remediation.stackstorm.executions import read_execution
from tests.factories import make_action, make_bucket, make_execution, make_run, make_step
from tests.paths import CONTRACTS

pytestmark = pytest.mark.django_db

FOLDER = CONTRACTS / "stackstorm"


def recorded(name):
    return json.loads((FOLDER / f"{name}.json").read_text())["response"]["body"]


RERUN = recorded("rerun-of-execution-with-notify-201")
FIRST = RERUN["context"]["re-run"]["ref"]


def failed_row(**columns):
    values = {"status": "failure", "st2_execution_id": FIRST, "completed_at": timezone.now()}
    return make_execution(**values | columns)


def rerun_transitions():
    moves = Transition.objects.filter(subject_type="execution", actor="stackstorm")
    return [
        (move.from_status, move.to_status, move.reason)
        for move in moves.order_by("pk")
        if "rerun_of" in move.data
    ]


@pytest.fixture
def failed(sandbox, st2):
    """Launch a one-step run that fails and is settled; return its execution."""
    sandbox.configure(outcomes={"core.local": "failed"})

    def start():
        bucket = make_bucket()
        make_step(bucket, make_action(st2_runner="local-shell-cmd"), parameters={"cmd": "false"})
        execution = make_execution(make_run(bucket))
        launch.launch_due(client=st2)
        ActionExecution.objects.filter(due_at__isnull=False).update(due_at=timezone.now())
        poll.poll_due(client=st2)
        execution.refresh_from_db()
        return execution

    return start


def rerun(sandbox, st2_execution_id):
    answer = requests.post(
        f"{sandbox.url}/v1/executions/{st2_execution_id}/re_run",
        json={},
        headers={"St2-Api-Key": "sandbox-key"},
        timeout=5,
    )
    assert answer.status_code == 201, answer.text
    return answer.json()["id"]


def check_now(client):
    """Check for re-runs as if the check were due."""
    JobSchedule.objects.filter(name="reruns").delete()
    ActionExecution.objects.filter(reruns_due_at__isnull=False).update(reruns_due_at=timezone.now())
    return reruns.check_due(client=client)


@pytest.mark.parametrize("status", ["failure", "success", "running", "unknown"])
def test_a_re_run_in_the_stream_is_recorded_and_settles_nothing(status):
    later = timezone.now() + timedelta(hours=1)
    row = failed_row(status=status, due_at=later)
    before = ActionExecution.objects.values().get()

    for remote_status in ("requested", "running", "running", "failed", "failed"):
        stream.apply_events([read_execution(RERUN | {"status": remote_status})])

    rerun = row.reruns.get()
    assert (rerun.st2_execution_id, rerun.rerun_of) == (RERUN["id"], FIRST)
    assert (rerun.st2_status, rerun.st2_user) == ("failed", "st2admin")
    assert rerun.st2_web_url == RERUN["web_url"]
    assert rerun.started_at == read_execution(RERUN).start_timestamp
    assert ActionExecution.objects.values().get() == before
    assert rerun_transitions() == [
        (status, status, f"run again in StackStorm by st2admin as {RERUN['id']}: requested"),
        (status, status, f"re-run {RERUN['id']} in StackStorm: failed"),
    ]


def test_a_re_run_of_another_systems_execution_is_ignored():
    failed_row(st2_execution_id="f" * 24)

    stream.apply_events([read_execution(RERUN)])

    assert not Rerun.objects.exists()


def test_a_re_run_of_a_re_run_belongs_to_the_first_execution():
    row = failed_row()
    context = {"re-run": {"ref": RERUN["id"]}, "user": "alice"}

    stream.apply_events([read_execution(RERUN)])
    stream.apply_events([read_execution(RERUN | {"id": "e" * 24, "context": context})])

    assert [(one.st2_execution_id, one.rerun_of) for one in row.reruns.all()] == [
        (RERUN["id"], FIRST),
        ("e" * 24, RERUN["id"]),
    ]


def test_re_runs_are_read_from_a_recorded_response():
    row = failed_row(reruns_due_at=timezone.now())
    with responses.RequestsMock() as mock:
        mock.get("http://st2.example.com/v1/executions", json=recorded("rerun-by-context-ref"))
        client = StackStormClient(api_url="http://st2.example.com", api_key="key", timeout=1)
        reruns.check_due(client=client)
        url = str(mock.calls[0].request.url)

    [rerun] = row.reruns.all()
    assert (rerun.st2_execution_id, rerun.st2_status) == ("6b0ab2c8f1d0b61be1aa803f", "failed")
    assert f"?filter=context.re-run.ref:{FIRST}&" in url
    assert "&timestamp_gt=" in url


@pytest.mark.parametrize("name", ["rerun-by-trace-tag", "get-executions-limit-minus-1"])
def test_other_executions_in_the_response_are_ignored(name):
    row = failed_row(reruns_due_at=timezone.now())
    with responses.RequestsMock() as mock:
        mock.get("http://st2.example.com/v1/executions", json=recorded(name))
        client = StackStormClient(api_url="http://st2.example.com", api_key="key", timeout=1)
        reruns.check_due(client=client)

    assert not row.reruns.exists()


def test_the_re_run_of_a_failed_execution_is_recorded_once(sandbox, st2, failed):
    row = failed()
    assert timedelta(0) < row.reruns_due_at - row.completed_at <= timedelta(seconds=60)
    rerun_id = rerun(sandbox, row.st2_execution_id)

    for _ in range(3):
        assert check_now(st2) == 1

    assert [one.st2_execution_id for one in row.reruns.all()] == [rerun_id]
    assert len(rerun_transitions()) == 1
    row.refresh_from_db()
    assert (row.status, row.st2_execution_id == rerun_id) == ("failure", False)


def test_an_open_re_run_is_checked_again_soon(sandbox, st2, failed):
    row = failed()
    ended = timezone.now() - timedelta(hours=5)
    ActionExecution.objects.update(completed_at=ended)
    sandbox.configure(outcomes={"core.local": "running"})
    rerun(sandbox, row.st2_execution_id)

    check_now(st2)

    row.refresh_from_db()
    assert row.reruns_due_at <= timezone.now() + timedelta(seconds=61)


@pytest.mark.parametrize(
    ("hours", "wait"), [(0, 1 / 60), (1, 1), (10, 10), (23, 23), (24, None), (48, None)]
)
@pytest.mark.usefixtures("frozen_clock")
def test_older_failures_are_checked_less_often(hours, wait, st2, failed):
    row = failed()
    ActionExecution.objects.update(completed_at=timezone.now() - timedelta(hours=hours))

    check_now(st2)

    row.refresh_from_db()
    if wait is None:
        assert row.reruns_due_at is None
    else:
        due_in = row.reruns_due_at - timezone.now()
        assert abs(due_in - timedelta(hours=wait)) < timedelta(seconds=30)


def test_a_successful_execution_is_not_checked(sandbox, st2, failed):
    sandbox.configure(outcomes={})

    row = failed()

    assert (row.status, row.reruns_due_at) == ("success", None)


def test_a_bounded_batch_is_checked_once_a_minute(sandbox, st2):
    for number in range(reruns.BATCH + 3):
        failed_row(st2_execution_id=f"{number:024x}", reruns_due_at=timezone.now())
    before = len(sandbox.requests)

    counts = [reruns.check_due(client=st2) for _ in range(3)]

    assert counts == [reruns.BATCH, 0, 0]
    assert len(sandbox.requests) - before == reruns.BATCH
    due = ActionExecution.objects.filter(reruns_due_at__lte=timezone.now())
    assert due.count() == 3


@pytest.mark.usefixtures("frozen_clock")
def test_the_check_is_retried_after_an_outage(sandbox, st2, failed):
    row = failed()
    sandbox.configure(unavailable=True)

    assert check_now(st2) == 0

    row.refresh_from_db()
    assert row.reruns_due_at > timezone.now()
