"""Metadata of actions is fetched before a launch needs it, and again when it is outdated."""

import datetime
import json
import re

import pytest
import sqlparse
from django.db import connection

from remediation import clock
from remediation.engine.launching import action_refresh, launch
from remediation.engine.operations.action_check import check_actions
from remediation.models import Action, ActionExecution, Bucket, Problem
from tests.factories import make_action, make_alert, make_client, make_execution, make_run
from tests.paths import CONTRACTS
from tests.remediation.engine.launching.due_executions import (
    due_execution,
    due_execution_of,
    launched,
)

pytestmark = pytest.mark.django_db

Status = ActionExecution.Status
SEED = (CONTRACTS / "seed.md").read_text()
LONG_AGO = datetime.timedelta(hours=2)
SCRIPT = {"runner_type": "python-script", "parameters": {"text": {"type": "string"}}}
WORKFLOW = {
    "runner_type": "orquesta",
    "parameters": {"text": {"type": "string"}, "timeout": {"type": "integer"}},
}


def make_all_stale():
    Action.objects.update(st2_checked_at=clock.now() - LONG_AGO)


def test_a_new_action_is_fetched_once_before_its_first_launch(sandbox, st2):
    first = launched("core.local", {"cmd": "true"}, st2)
    launch.launch_due(client=st2)
    second = make_execution(make_run(first.bucket))
    launch.launch_due(client=st2)

    fetched = [path for method, path in sandbox.requests if "overview/core.local" in path]
    assert len(fetched) == 1
    action = first.action
    assert action is not None
    action.refresh_from_db()
    assert (action.st2_runner, action.st2_check) == ("local-shell-cmd", "found")
    second.refresh_from_db()
    assert (first.status, second.status) == (Status.RUNNING, Status.RUNNING)


def test_alert_data_is_not_sent_to_a_new_action_that_builds_a_command(sandbox, st2):
    alert = make_alert(annotations={"d": "$(id -u) and `id -un`"})

    execution = launched("core.echo", {"message": "{{ alert.annotations.d }}"}, st2, alert=alert)

    assert execution.status == Status.FAILURE
    assert execution.error_message.startswith(
        'message: is inserted into the command echo "{{message}}", inside "..."'
    )
    assert not sandbox.posts_by_trace_tag()


def test_a_literal_parameter_is_sent(sandbox, st2):
    execution = launched("core.echo", {"message": "all is well; really"}, st2)

    assert execution.status == Status.RUNNING


def test_the_seeds_sql_needs_no_other_command(sandbox, st2):
    # The pack of the seed calls the parameter action, the current pack calls it act.
    names = ("act", "service", "action")
    service = {
        "runner_type": "remote-shell-script",
        "parameters": {name: {"type": "string"} for name in names},
    }
    sandbox.configure(actions={"linux.service": service})
    action, bucket, step = (
        seed_insert(text) for text in ("Restart nginx", "auto_restart", "(1, 1, 1)")
    )
    run_sql(action)
    run_sql(bucket)
    ids = Bucket.objects.get().pk, Action.objects.get().pk
    run_sql(step.replace("(1, 1, 1)", f"({ids[0]}, {ids[1]}, 1)"))
    body = {"alerts": [{"labels": {"alertname": "NginxDown", "instance": "web-01:9100"}}]}

    response = make_client("webhook").post(
        "/api/v1/webhook", json.dumps(body), content_type="application/json"
    )
    launch.launch_due(client=st2)

    assert response.status_code == 202
    execution = ActionExecution.objects.get()
    assert execution.status == Status.RUNNING
    sent = {"hosts": "web-01:9100", "service": "nginx", "action": "restart", "timeout": 300}
    assert execution.parameters == sent


def seed_insert(text):
    """Return the only INSERT of the seed's document that contains the text."""
    blocks = re.findall(r"```sql\n(.*?)```", SEED, re.DOTALL)
    statements = [one for block in blocks for one in sqlparse.split(block)]
    (found,) = [one for one in statements if "INSERT" in one and text in one]
    return found


def run_sql(statement):
    with connection.cursor() as cursor:
        cursor.execute(statement)


def test_an_execution_waits_with_the_reason_while_stackstorm_is_down(sandbox, st2):
    sandbox.configure(unavailable=True)

    execution = launched("core.local", {"cmd": "true"}, st2)

    assert execution.status == Status.PENDING
    assert "Waiting for the metadata of the action" in execution.error_message
    assert "unable to reach" in Problem.objects.get(name="stackstorm").text
    sandbox.configure(unavailable=False)
    ActionExecution.objects.update(due_at=clock.now())
    launch.launch_due(client=st2)
    execution.refresh_from_db()
    assert execution.status == Status.RUNNING


def test_a_missing_action_fails_with_a_remedy_and_is_fetched_again(sandbox, st2):
    execution = launched("acme.fix", {"text": "x"}, st2)

    assert execution.status == Status.FAILURE
    assert "StackStorm Exchange has no pack acme" in execution.error_message
    assert not sandbox.posts_by_trace_tag()
    sandbox.configure(actions={"acme.fix": SCRIPT})
    make_execution(make_run(execution.bucket))
    launch.launch_due(client=st2)
    assert ActionExecution.objects.filter(status=Status.RUNNING).count() == 1


def test_stale_metadata_is_fetched_before_alert_data_is_sent(sandbox, st2):
    sandbox.configure(actions={"acme.fix": SCRIPT}, datastore={"system.secret": "TOPSECRET"})
    make_action(st2_action_ref="acme.fix", name="fix")
    check_actions(st2)
    sandbox.configure(actions={"acme.fix": WORKFLOW})
    make_all_stale()
    execution = due_execution(
        {"text": "{{ alert.annotations.d }}"},
        action=Action.objects.get(),
        alert=make_alert(annotations={"d": "echo {{ st2kv.system.secret }}"}),
    )

    launch.launch_due(client=st2)

    execution.refresh_from_db()
    assert execution.status == Status.FAILURE
    assert "renders parameters twice" in execution.error_message
    assert not sandbox.posts_by_trace_tag()
    action = Action.objects.get()
    assert action.st2_runner == "orquesta"
    assert "runner changed from python-script to orquesta" in action.st2_change
    assert action.st2_changed_at is not None


def test_plain_text_is_sent_with_stale_metadata(sandbox, st2):
    execution = due_execution_of("core.local", {"cmd": "uptime"}, st2_runner="local-shell-cmd")
    make_all_stale()

    launch.launch_due(client=st2)

    execution.refresh_from_db()
    assert execution.status == Status.RUNNING
    assert not [path for _, path in sandbox.requests if "overview" in path]


@pytest.mark.parametrize(
    ("metadata", "change"),
    [
        (None, "check changed from found to missing"),
        (SCRIPT | {"enabled": False}, "check changed from found to disabled"),
        (WORKFLOW, "runner changed from python-script to orquesta"),
    ],
    ids=["removed", "disabled", "changed"],
)
def test_a_refresh_stores_a_change_and_its_time(metadata, change, sandbox, st2):
    sandbox.configure(actions={"acme.fix": SCRIPT})
    make_action(st2_action_ref="acme.fix")
    check_actions(st2)
    sandbox.configure(actions={"acme.fix": metadata} if metadata else {})
    make_all_stale()

    action_refresh.refresh_due(client=st2)

    action = Action.objects.get()
    assert change in action.st2_change
    assert action.st2_changed_at is not None
    assert clock.now() - action.st2_changed_at < datetime.timedelta(minutes=1)
    assert action_refresh.refresh_due(client=st2) == 0


def test_a_refresh_is_bounded_and_stops_while_stackstorm_is_down(sandbox, st2):
    for _number in range(action_refresh.BATCH_SIZE + 2):
        make_action()

    assert action_refresh.refresh_due(client=st2) == action_refresh.BATCH_SIZE
    sandbox.configure(unavailable=True)
    assert action_refresh.refresh_due(client=st2) == 0
