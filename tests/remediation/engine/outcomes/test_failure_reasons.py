"""The reason of a failed execution and of its run comes from StackStorm's result."""

import datetime
import json

import pytest

from remediation import clock
from remediation.engine.launching import launch
from remediation.engine.outcomes import poll
from remediation.models import ActionExecution, BucketRun
from tests.factories import make_action, make_bucket, make_execution, make_run, make_step
from tests.paths import CONTRACTS

pytestmark = pytest.mark.django_db

RECORDINGS = CONTRACTS / "stackstorm"


def recorded_result(name):
    return json.loads((RECORDINGS / f"{name}.json").read_text())["response"]["body"]["result"]


@pytest.fixture
def ended(sandbox, st2):
    """Run an action that ends with this result; return its execution."""

    def end(result, *, outcome="failed"):
        ref = "core.noop"
        sandbox.configure(outcomes={ref: outcome}, results={ref: result})
        bucket = make_bucket()
        make_step(bucket, make_action(st2_action_ref=ref, st2_runner="noop", name="probe"))
        execution = make_execution(make_run(bucket))
        settle_all(st2)
        execution.refresh_from_db()
        return execution

    return end


def settle_all(st2):
    launch.launch_due(client=st2)
    ActionExecution.objects.filter(due_at__isnull=False).update(
        due_at=clock.now() - datetime.timedelta(seconds=1)
    )
    poll.poll_due(client=st2)


WEB_01 = {
    "failed": True,
    "return_code": 2,
    "stderr": "ls: cannot access '/srv': No such file or directory",
    "stdout": "",
}
WEB_02 = {"failed": False, "return_code": 0, "stdout": "ok", "stderr": ""}
ON_STDOUT = {
    "failed": True,
    "return_code": 3,
    "stdout": "FATAL: disk /dev/sdb is read-only",
    "stderr": "",
}


@pytest.mark.parametrize(
    ("result", "text"),
    [
        (
            {"web-01": WEB_01, "web-02": WEB_02},
            "web-01: return code 2: ls: cannot access '/srv': No such file or directory",
        ),
        (ON_STDOUT, "return code 3: FATAL: disk /dev/sdb is read-only"),
        (
            recorded_result("failure-workflow-nested"),
            "deploy: check: return code 28: /dev/sdb1: no space left on device",
        ),
        (
            recorded_result("failure-action-chain"),
            "second: return code 3: second: disk is full",
        ),
    ],
    ids=["hosts", "stdout", "nested workflow", "action chain"],
)
def test_the_execution_and_its_run_show_the_error_in_the_result(result, text, ended):
    execution = ended(result)

    assert execution.error_message == text
    assert BucketRun.objects.get().reason == f"probe: {text}"


def test_a_long_traceback_keeps_its_last_line(ended):
    frame = '  File "/opt/stackstorm/packs/x/actions/y.py", line 1, in run\n    self.run()\n'
    stderr = f"Traceback (most recent call last):\n{frame * 120}"
    stderr += "ConnectionError: broker at 10.0.0.9 refused"

    execution = ended({"stdout": "", "stderr": stderr, "exit_code": 1, "result": "None"})

    assert "ConnectionError: broker at 10.0.0.9 refused" in execution.error_message


def test_secrets_are_masked_before_the_text_is_truncated(ended, settings):
    settings.CONFIG_SECRETS = {"db": "a-secret-of-the-database"}
    stderr = "x" * 290 + "a-secret-of-the-database" + "y" * 5_000

    execution = ended({"failed": True, "return_code": 1, "stdout": "", "stderr": stderr})

    assert len(execution.error_message) <= 2_000
    assert "a-secret" not in execution.error_message
    assert "********" in execution.error_message


def test_without_an_error_text_the_status_is_the_reason(ended):
    assert ended({"output": None}).error_message == "StackStorm: failed"


@pytest.mark.parametrize("step_order", [0, 1], ids=["workflow bucket", "step"])
def test_a_workflow_has_the_reason_of_its_timed_out_task(step_order, sandbox, st2):
    sandbox.configure(outcomes={"core.local": "timeout"})
    bucket = (
        make_bucket(
            use_stackstorm=True, st2_workflow_pack="clienttest", st2_workflow_name="slow_wf"
        )
        if step_order == 0
        else make_bucket()
    )
    if step_order:
        action = make_action(st2_action_ref="clienttest.slow_wf", st2_runner="orquesta")
        make_step(bucket, action, name="slow")
    execution = make_execution(make_run(bucket))
    settle_all(st2)

    execution.refresh_from_db()
    assert execution.st2_result == {"output": None, "errors": []}
    assert execution.status == "failure"
    assert execution.error_message.startswith("first: Action failed to complete in ")
