"""A large result is truncated, stored and delays no other (MariaDB's max packet is 16 MiB)."""

import datetime
import time

import pytest

from remediation import clock
from remediation.engine.launching import launch
from remediation.engine.outcomes import poll
from remediation.models import ActionExecution, BucketRun
from remediation.stackstorm import StackStormClient
from remediation.values.json_values import VALUE_BYTES_MAX, sent_bytes
from tests.factories import make_action, make_bucket, make_execution, make_run, make_step

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]

RESULTS = {
    "Chinese": "\u6f22" * 2_700_000,
    "Cyrillic": "\u042f" * 2_400_000,
    "escaped": "\"\\'\n" * 3_000_000,
}


@pytest.fixture
def patient(sandbox):
    client = StackStormClient(api_url=sandbox.url, api_key="sandbox-key", timeout=30)
    yield client
    client.close()


def run_of(ref):
    bucket = make_bucket()
    parameters = {"cmd": "true"} if ref == "core.local" else {}
    make_step(bucket, make_action(st2_action_ref=ref, st2_runner="noop"), parameters=parameters)
    return make_execution(make_run(bucket))


@pytest.mark.parametrize("text", RESULTS.values(), ids=RESULTS)
def test_a_large_result_is_truncated_and_other_runs_end_in_the_same_poll(text, sandbox, patient):
    result = {"stdout": text, "stderr": "", "return_code": 0, "succeeded": True, "failed": False}
    sandbox.configure(results={"core.noop": result})
    large, others = run_of("core.noop"), [run_of("core.local") for _ in range(5)]
    launch.launch_due(client=patient)
    ActionExecution.objects.update(due_at=clock.now() - datetime.timedelta(seconds=1))
    start = time.monotonic()

    poll.poll_due(client=patient)

    assert time.monotonic() - start < 20, "most of it is the sandbox sending the result"
    assert [run.status for run in BucketRun.objects.all()] == ["success"] * 6
    large.refresh_from_db()
    assert sent_bytes(large.st2_result) <= VALUE_BYTES_MAX
    assert (large.st2_result["return_code"], large.st2_result["stderr"]) == (0, "")
    note = (
        f"[... {len(text)} characters in all, cut here;"
        f" StackStorm has it complete as execution {large.st2_execution_id} ...]"
    )
    assert note in large.st2_result["stdout"]
    assert len(others) == 5


def test_many_large_results_are_settled_in_one_poll(sandbox, patient):
    sandbox.configure(results={"core.noop": {"stdout": "\u6f22" * 100_000}})
    executions = [run_of("core.noop") for _ in range(25)]
    launch.launch_due(client=patient)
    ActionExecution.objects.update(due_at=clock.now() - datetime.timedelta(seconds=1))

    poll.poll_due(client=patient)

    ended = ActionExecution.objects.filter(status="success")
    assert ended.count() == len(executions)


def test_characters_that_a_database_cannot_store_are_replaced(sandbox, patient):
    deep: object = "bottom"
    for _ in range(60):
        deep = [deep]
    odd = {"stdout": "null \x00 and half \ud83d of a pair", "deep": deep, "n" * 5_000: 1}
    sandbox.configure(results={"core.noop": odd})
    execution = run_of("core.noop")
    launch.launch_due(client=patient)
    ActionExecution.objects.update(due_at=clock.now() - datetime.timedelta(seconds=1))

    poll.poll_due(client=patient)

    execution.refresh_from_db()
    assert execution.status == "success"
    assert execution.st2_result["stdout"] == "null \ufffd and half \ufffd of a pair"
