"""Launches whose action changed in StackStorm: metadata is corrected, unsafe ones are canceled."""

import time

import pytest
import responses

from remediation import clock
from remediation.engine.launching import action_metadata, launch, lookup
from remediation.engine.operations.action_check import check_actions
from remediation.models import Action, ActionExecution, BucketRun, Transition
from remediation.stackstorm import StackStormClient
from tests.factories import (
    make_action,
    make_alert,
    make_bucket,
    make_execution,
    make_run,
    make_step,
)
from tests.remediation.engine.launching.due_executions import due_execution, due_execution_of
from tests.remediation.stackstorm.recordings import recording

pytestmark = [pytest.mark.django_db, pytest.mark.slow]

Status = ActionExecution.Status
COMMAND_SUBSTITUTION = "$(id -u) and `id -un`"
SECRET = {"system.secret": "TOPSECRET"}
SCRIPT = {"runner_type": "python-script", "parameters": {"text": {"type": "string"}}}
WORKFLOW = {
    "runner_type": "orquesta",
    "parameters": {"text": {"type": "string"}, "timeout": {"type": "integer"}},
    "tasks": [{"name": "run", "action": "core.local", "parameters": {"cmd": "{{ text }}"}}],
}
SHELL = {
    "runner_type": "local-shell-cmd",
    "parameters": {
        "text": {"type": "string"},
        "cmd": {"immutable": True, "default": 'echo "{{text}}"'},
    },
}


def checked_script(sandbox, st2, **options):
    """Return an action that was a Python script when it was last checked."""
    sandbox.configure(actions={"acme.fix": SCRIPT}, **options)
    action = make_action(st2_action_ref="acme.fix")
    check_actions(st2)
    return action


def alert_with_text(text):
    return make_alert(annotations={"d": text})


@pytest.mark.parametrize(
    ("text", "changed", "message"),
    [
        ("echo {{ st2kv.system.secret }}", WORKFLOW, "renders parameters twice"),
        ("echo <% st2kv('system.secret') %>", WORKFLOW, "renders parameters twice"),
        (COMMAND_SUBSTITUTION, SHELL, 'inside "..."'),
    ],
)
def test_an_unsafe_launch_is_canceled_and_the_metadata_stored(text, changed, message, sandbox, st2):
    action = checked_script(sandbox, st2, datastore=SECRET, duration_seconds=60)
    sandbox.configure(actions={"acme.fix": changed})
    bucket = make_bucket()
    make_step(bucket, action, parameters={"text": "{{ alert.annotations.d }}"}, max_attempts=3)
    execution = make_execution(make_run(bucket, alert_with_text(text)))

    launch.launch_due(client=st2)

    execution.refresh_from_db()
    assert execution.status == Status.FAILURE
    assert message in execution.error_message
    assert "it was canceled at once" in execution.error_message
    remote = st2.execution(execution.st2_execution_id)
    assert remote.status in ("canceling", "canceled")
    action.refresh_from_db()
    assert action.st2_runner == changed["runner_type"]
    # There is no second attempt, because the canceled command may still run.
    assert ActionExecution.objects.count() == 1
    move = Transition.objects.filter(subject_type="execution", to_status="failure").get()
    assert move.reason == execution.error_message


def test_a_safe_launch_of_a_changed_action_continues(sandbox, st2):
    action = checked_script(sandbox, st2)
    sandbox.configure(actions={"acme.fix": WORKFLOW})
    execution = due_execution({"text": "plain"}, action=action)

    launch.launch_due(client=st2)

    execution.refresh_from_db()
    action.refresh_from_db()
    assert (execution.status, action.st2_runner) == (Status.RUNNING, "orquesta")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(20, "it was canceled at once"), (0, "it could not be canceled, its status was succeeded")],
)
def test_an_unsafe_launch_found_by_its_trace_tag_fails(seconds, text, sandbox, st2, settings):
    settings.LAUNCH_LOOKUP_SECONDS = 0
    action = checked_script(sandbox, st2, duration_seconds=seconds)
    outcomes = {} if seconds == 0 else {"acme.fix": "running"}
    changed = {"acme.fix": WORKFLOW | {"tasks": []}}
    sandbox.configure(actions=changed, outcomes=outcomes, drop_answer_rate=1.0)
    parameters = {"text": "{{ alert.annotations.d }}"}
    execution = due_execution(parameters, action=action, alert=alert_with_text("{{ 6 * 7 }}"))
    launch.launch_due(client=st2)
    wait_until_begun(st2, execution.trace_tag)
    ActionExecution.objects.update(due_at=clock.now())

    lookup.look_up_due(client=st2)

    execution.refresh_from_db()
    assert execution.status == Status.FAILURE
    assert text in execution.error_message


def wait_until_begun(st2, trace_tag):
    for _attempt in range(500):
        if [row.status for row in st2.find_by_trace_tag(trace_tag, action_ref="acme.fix")] != [
            "requested"
        ]:
            return
        time.sleep(0.01)
    pytest.fail("the sandbox does not begin")


@pytest.mark.parametrize(
    ("overview", "launched"),
    [
        ("changed-action-overview-before", "changed-action-post-before-201"),
        ("changed-action-overview-after", "changed-action-post-after-201"),
        ("shell-built-overview-core-echo", "shell-built-echo-command-substitution"),
        ("shell-built-overview-linux-rm", "shell-built-linux-rm"),
    ],
)
def test_a_launch_and_the_overview_yield_the_same_metadata(overview, launched):
    with responses.RequestsMock() as mocked:
        ref = recording(overview).body["ref"]
        base = "http://st2.test/v1"
        id_ = recording(launched).body["id"]
        mocked.get(f"{base}/actions/views/overview/{ref}", json=recording(overview).body)
        mocked.get(f"{base}/executions/{id_}", json=recording(launched).body)
        client = StackStormClient(api_url=base, api_key="k", timeout=1)

        fetched, shown = client.action(ref), client.execution(id_).action

    assert fetched
    assert shown
    assert action_metadata.columns_of(shown) == action_metadata.columns_of(fetched)


def test_an_action_with_another_ref_than_in_the_plan_is_not_sent(sandbox, st2):
    execution = due_execution_of("core.noop", {})
    Action.objects.update(st2_action_ref="core.local")

    launch.launch_due(client=st2)

    execution.refresh_from_db()
    assert execution.status == Status.FAILURE
    assert "was core.noop when the run was planned" in execution.error_message
    assert BucketRun.objects.get().status == "failure"
