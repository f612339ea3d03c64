"""What is known of actions: asked before it is needed, believed from launches, renewed with age."""

import datetime
import json
import re
import time

import pytest
import responses
import sqlparse
from django.db import connection

from remediation import clock
from remediation.engine.launching import action_knowledge, launch, lookup
from remediation.engine.operations.action_check import check_actions
from remediation.models import Action, ActionExecution, Bucket, BucketRun, Heartbeat, Transition
from remediation.stackstorm import StackStormClient
from tests.factories import (
    make_action,
    make_alert,
    make_bucket,
    make_client,
    make_execution,
    make_run,
    make_step,
)
from tests.paths import CONTRACTS
from tests.remediation.stackstorm.recordings import recording

pytestmark = pytest.mark.django_db

Status = ActionExecution.Status
ATTACK = "$(id -u) and `id -un`"
SECRET = {"system.secret": "TOPSECRET"}
SEED = (CONTRACTS / "seed.md").read_text()
LONG_AGO = datetime.timedelta(hours=2)

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


def due_execution(ref, parameters, *, alert=None, max_attempts=1, **action):
    bucket = make_bucket()
    row = make_action(st2_action_ref=ref, **action)
    make_step(bucket, row, parameters=parameters, max_attempts=max_attempts)
    return make_execution(make_run(bucket, alert))


def fire(ref, parameters, st2, **columns):
    """Launch one execution and return it as it is then."""
    execution = due_execution(ref, parameters, **columns)
    launch.launch_due(client=st2)
    execution.refresh_from_db()
    return execution


def alert_saying(text):
    return make_alert(annotations={"d": text})


def age_all():
    Action.objects.update(st2_checked_at=clock.now() - LONG_AGO)


def test_a_row_written_by_sql_is_asked_for_once_before_its_first_launch(sandbox, st2):
    first = fire("core.local", {"cmd": "true"}, st2)
    launch.launch_due(client=st2)
    second = make_execution(make_run(first.bucket))
    launch.launch_due(client=st2)

    asked = [path for method, path in sandbox.requests if "overview/core.local" in path]
    assert len(asked) == 1
    action = first.action
    action.refresh_from_db()
    assert (action.st2_runner, action.st2_check) == ("local-shell-cmd", "found")
    second.refresh_from_db()
    assert (first.status, second.status) == (Status.RUNNING, Status.RUNNING)


def test_data_in_a_command_that_an_unasked_action_builds_is_never_sent(sandbox, st2):
    execution = fire(
        "core.echo", {"message": "{{ alert.annotations.d }}"}, st2, alert=alert_saying(ATTACK)
    )

    assert execution.status == Status.FAILURE
    assert execution.error_message.startswith(
        'message: is inserted into the command echo "{{message}}", inside "..."'
    )
    assert not sandbox.posts_by_trace_tag()


def test_a_literal_of_the_operator_is_sent(sandbox, st2):
    execution = fire("core.echo", {"message": "all is well; really"}, st2)

    assert execution.status == Status.RUNNING


def test_the_sql_of_the_owners_document_runs_without_any_other_command(sandbox, st2):
    # The document's pack calls the parameter action, where today's calls it act.
    names = ("act", "service", "action")
    service = {
        "runner_type": "remote-shell-script",
        "parameters": {name: {"type": "string"} for name in names},
    }
    sandbox.configure(actions={"linux.service": service})
    action, bucket, step = (
        inserted(text) for text in ("Restart nginx", "auto_restart", "(1, 1, 1)")
    )
    run_sql(action)
    run_sql(bucket)
    ids = Bucket.objects.get().pk, Action.objects.get().pk
    run_sql(step.replace("(1, 1, 1)", f"({ids[0]}, {ids[1]}, 1)"))
    body = {"alerts": [{"labels": {"alertname": "NginxDown", "instance": "web-01:9100"}}]}

    answer = make_client("webhook").post(
        "/api/v1/webhook", json.dumps(body), content_type="application/json"
    )
    launch.launch_due(client=st2)

    assert answer.status_code == 202
    execution = ActionExecution.objects.get()
    assert execution.status == Status.RUNNING
    sent = {"hosts": "web-01:9100", "service": "nginx", "action": "restart", "timeout": 300}
    assert execution.parameters == sent


def inserted(text):
    """Return the one INSERT of the document that holds the text."""
    blocks = re.findall(r"```sql\n(.*?)```", SEED, re.DOTALL)
    statements = [one for block in blocks for one in sqlparse.split(block)]
    (found,) = [one for one in statements if "INSERT" in one and text in one]
    return found


def run_sql(statement):
    with connection.cursor() as cursor:
        cursor.execute(statement)


def test_while_stackstorm_is_away_it_waits_and_says_why(sandbox, st2):
    sandbox.configure(unavailable=True)

    execution = fire("core.local", {"cmd": "true"}, st2)

    assert execution.status == Status.PENDING
    assert "StackStorm has to say first what the action takes" in execution.error_message
    assert "unable to reach" in Heartbeat.objects.get(name="stackstorm").note
    sandbox.configure(unavailable=False)
    ActionExecution.objects.update(due_at=clock.now())
    launch.launch_due(client=st2)
    execution.refresh_from_db()
    assert execution.status == Status.RUNNING


def test_what_stackstorm_does_not_know_fails_with_what_to_do_and_is_asked_again(sandbox, st2):
    execution = fire("acme.fix", {"text": "x"}, st2)

    assert execution.status == Status.FAILURE
    assert "st2 pack install acme" in execution.error_message
    assert not sandbox.posts_by_trace_tag()
    sandbox.configure(actions={"acme.fix": SCRIPT})
    make_execution(make_run(execution.bucket))
    launch.launch_due(client=st2)
    assert ActionExecution.objects.filter(status=Status.RUNNING).count() == 1


def test_a_runner_that_changed_unseen_is_asked_for_before_a_template_is_sent(sandbox, st2):
    sandbox.configure(actions={"acme.fix": SCRIPT}, datastore=SECRET)
    make_action(st2_action_ref="acme.fix", name="fix")
    check_actions(st2)
    sandbox.configure(actions={"acme.fix": WORKFLOW})
    age_all()
    bucket = make_bucket()
    make_step(bucket, Action.objects.get(), parameters={"text": "{{ alert.annotations.d }}"})
    execution = make_execution(make_run(bucket, alert_saying("echo {{ st2kv.system.secret }}")))

    launch.launch_due(client=st2)

    execution.refresh_from_db()
    assert execution.status == Status.FAILURE
    assert "renders parameters twice" in execution.error_message
    assert not sandbox.posts_by_trace_tag()
    action = Action.objects.get()
    assert action.st2_runner == "orquesta"
    assert "its runner was python-script and is orquesta" in action.st2_change
    assert action.st2_changed_at is not None


@pytest.mark.parametrize(
    ("text", "changed", "message"),
    [
        ("echo {{ st2kv.system.secret }}", WORKFLOW, "renders parameters twice"),
        ("echo <% st2kv('system.secret') %>", WORKFLOW, "renders parameters twice"),
        (ATTACK, SHELL, 'inside "..."'),
    ],
)
def test_a_change_that_a_launch_shows_is_believed_and_the_launch_canceled(
    text, changed, message, sandbox, st2
):
    sandbox.configure(actions={"acme.fix": SCRIPT}, datastore=SECRET, duration_seconds=60)
    action = make_action(st2_action_ref="acme.fix")
    check_actions(st2)
    sandbox.configure(actions={"acme.fix": changed})
    bucket = make_bucket()
    make_step(bucket, action, parameters={"text": "{{ alert.annotations.d }}"}, max_attempts=3)
    execution = make_execution(make_run(bucket, alert_saying(text)))

    launch.launch_due(client=st2)

    execution.refresh_from_db()
    assert execution.status == Status.FAILURE
    assert message in execution.error_message
    assert "it was canceled at once" in execution.error_message
    remote = st2.execution(execution.st2_execution_id)
    assert remote.status in ("canceling", "canceled")
    action.refresh_from_db()
    assert action.st2_runner == changed["runner_type"]
    # Never tried again: what was canceled may still run.
    assert ActionExecution.objects.count() == 1
    move = Transition.objects.filter(subject_type="execution", to_status="failure").get()
    assert move.reason == execution.error_message


def test_a_change_without_danger_is_believed_and_the_launch_goes_on(sandbox, st2):
    sandbox.configure(actions={"acme.fix": SCRIPT})
    action = make_action(st2_action_ref="acme.fix")
    check_actions(st2)
    sandbox.configure(actions={"acme.fix": WORKFLOW})
    bucket = make_bucket()
    make_step(bucket, action, parameters={"text": "plain"})
    execution = make_execution(make_run(bucket))

    launch.launch_due(client=st2)

    execution.refresh_from_db()
    action.refresh_from_db()
    assert (execution.status, action.st2_runner) == (Status.RUNNING, "orquesta")


@pytest.mark.parametrize(
    ("seconds", "said"), [(20, "it was canceled at once"), (0, "it was succeeded")]
)
def test_what_is_found_by_its_tag_is_believed_as_well(seconds, said, sandbox, st2, settings):
    settings.LAUNCH_LOOKUP_SECONDS = 0
    sandbox.configure(actions={"acme.fix": SCRIPT}, duration_seconds=seconds)
    action = make_action(st2_action_ref="acme.fix")
    check_actions(st2)
    outcomes = {} if seconds == 0 else {"acme.fix": "running"}
    changed = {"acme.fix": WORKFLOW | {"tasks": []}}
    sandbox.configure(actions=changed, outcomes=outcomes, drop_answer_rate=1.0)
    bucket = make_bucket()
    make_step(bucket, action, parameters={"text": "{{ alert.annotations.d }}"})
    execution = make_execution(make_run(bucket, alert_saying("{{ 6 * 7 }}")))
    launch.launch_due(client=st2)
    wait_until_begun(st2, execution.trace_tag)
    ActionExecution.objects.update(due_at=clock.now())

    lookup.look_up_due(client=st2)

    execution.refresh_from_db()
    assert execution.status == Status.FAILURE
    assert said in execution.error_message


def wait_until_begun(st2, trace_tag):
    for _time in range(500):
        if [row.status for row in st2.find_by_trace_tag(trace_tag, action_ref="acme.fix")] != [
            "requested"
        ]:
            return
        time.sleep(0.01)
    pytest.fail("the sandbox does not begin")


def test_plain_text_is_sent_whatever_the_age(sandbox, st2):
    execution = due_execution("core.local", {"cmd": "uptime"}, st2_runner="local-shell-cmd")
    age_all()

    launch.launch_due(client=st2)

    execution.refresh_from_db()
    assert execution.status == Status.RUNNING
    assert not [path for _, path in sandbox.requests if "overview" in path]


@pytest.mark.parametrize(
    ("metadata", "said"),
    [
        (None, "found and is missing"),
        (SCRIPT | {"enabled": False}, "found and is disabled"),
        (WORKFLOW, "its runner was python-script and is orquesta"),
    ],
    ids=["removed", "disabled", "changed"],
)
def test_what_changed_is_marked_with_the_time_by_the_tick(metadata, said, sandbox, st2):
    sandbox.configure(actions={"acme.fix": SCRIPT})
    make_action(st2_action_ref="acme.fix")
    check_actions(st2)
    sandbox.configure(actions={"acme.fix": metadata} if metadata else {})
    age_all()

    action_knowledge.refresh_due(client=st2)

    action = Action.objects.get()
    assert said in action.st2_change
    assert clock.now() - action.st2_changed_at < datetime.timedelta(minutes=1)
    assert action_knowledge.refresh_due(client=st2) == 0


def test_a_refresh_is_bounded_and_ends_when_stackstorm_is_away(sandbox, st2):
    for _number in range(action_knowledge.REFRESHED_AT_ONCE + 2):
        make_action()

    assert action_knowledge.refresh_due(client=st2) == action_knowledge.REFRESHED_AT_ONCE
    sandbox.configure(unavailable=True)
    assert action_knowledge.refresh_due(client=st2) == 0


@pytest.mark.parametrize(
    ("overview", "launched"),
    [
        ("changed-action-overview-before", "changed-action-post-before-201"),
        ("changed-action-overview-after", "changed-action-post-after-201"),
        ("shell-built-overview-core-echo", "shell-built-echo-command-substitution"),
        ("shell-built-overview-linux-rm", "shell-built-linux-rm"),
    ],
)
def test_a_launch_and_the_overview_say_the_same_of_an_action(overview, launched):
    with responses.RequestsMock() as mocked:
        ref = recording(overview).body["ref"]
        base = "http://st2.test/v1"
        id_ = recording(launched).body["id"]
        mocked.get(f"{base}/actions/views/overview/{ref}", json=recording(overview).body)
        mocked.get(f"{base}/executions/{id_}", json=recording(launched).body)
        client = StackStormClient(api_url=base, api_key="k", timeout=1)

        asked, shown = client.action(ref), client.execution(id_).action

    assert asked
    assert shown
    assert action_knowledge.facts(shown) == action_knowledge.facts(asked)


def test_an_action_pointed_elsewhere_since_the_plan_is_not_sent(sandbox, st2):
    execution = due_execution("core.noop", {})
    Action.objects.update(st2_action_ref="core.local")

    launch.launch_due(client=st2)

    execution.refresh_from_db()
    assert execution.status == Status.FAILURE
    assert "was core.noop when the run was planned" in execution.error_message
    assert BucketRun.objects.get().status == "failure"
