"""Values that an alert lacks are undefined in templates, not empty strings."""

import json

import pytest

from remediation.engine.launching import launch
from remediation.models import ActionExecution, BucketRun, ConfigValue
from remediation.templating import TemplateError, evaluate_condition
from tests.factories import (
    make_action,
    make_alert,
    make_bucket,
    make_client,
    make_local_action,
    make_step,
)
from tests.paths import CONTRACTS
from tests.remediation.engine.launching.due_executions import due_execution, due_execution_of

pytestmark = pytest.mark.django_db

CASE = CONTRACTS / "cases" / "04-missing-instance.json"
DELETE_CACHE = {"cmd": "rm -rf /srv/cache/{{ alert.instance | host | quote }}"}
POST_MESSAGE = {"channel": "#a", "message": "{{ alert.instance | default('n/a') }} down"}


def test_a_command_without_an_instance_fails_and_the_next_step_runs(sandbox, st2):
    bucket = make_bucket(alert_name_pattern="NoInstance")
    make_step(bucket, make_action(), parameters=DELETE_CACHE, on_failure="continue")
    slack = make_action(st2_action_ref="slack.post_message")
    make_step(bucket, slack, parameters=POST_MESSAGE)

    make_client("webhook").post(
        "/api/v1/webhook", CASE.read_bytes(), content_type="application/json"
    )
    for _step in range(2):
        launch.launch_due(client=st2)

    first, second = ActionExecution.objects.order_by("step_order")
    assert (first.status, first.error_message) == (
        "failure",
        "cmd: alert.instance is not defined",
    )
    assert second.parameters["message"] == "n/a down"
    assert sandbox.posts_by_trace_tag() == {second.trace_tag: 1}


@pytest.mark.parametrize("name", ["instance", "severity", "alert_name"])
@pytest.mark.parametrize("text", ["", " "])
def test_a_missing_value_is_undefined(name, text):
    variables = {"alert": make_alert(labels={"team": ""}, **{name: text}).variables()}

    with pytest.raises(TemplateError, match=f"alert.{name} is not defined"):
        evaluate_condition(f"alert.{name} == 'x'", variables)
    assert evaluate_condition(f"alert.{name} is undefined", variables)
    assert evaluate_condition(f"alert.{name} | default('x') == 'x'", variables)


def test_an_empty_label_is_undefined():
    variables = {"alert": make_alert(labels={"team": "", "pod": "a"}).variables()}

    assert evaluate_condition("alert.labels.team is undefined", variables)
    assert evaluate_condition("alert.labels.pod == 'a'", variables)


@pytest.mark.parametrize(
    ("action_type", "parameters", "name"),
    [
        ("ping", {"host": "{{ alert.annotations.where | host }}"}, "host"),
        ("tcp_check", {"host": "{{ alert.annotations.where | host }}", "port": 80}, "host"),
        ("http_request", {"url": "http://{{ alert.annotations.where | host }}:80/x"}, "url"),
    ],
)
def test_a_local_action_with_an_empty_target_is_not_run(action_type, parameters, name):
    alert = make_alert(annotations={"where": ""})
    execution = due_execution(parameters, action=make_local_action(action_type), alert=alert)

    launch.run_local()

    execution.refresh_from_db()
    assert execution.error_message == f"{name}: host found no host in the text"
    assert BucketRun.objects.get().status == "failure"


@pytest.mark.parametrize(
    ("action_type", "parameters", "name"),
    [
        ("ping", {"host": "{{ config.nowhere }}"}, "host"),
        ("http_request", {"url": "http://{{ config.nowhere }}:80/x"}, "url"),
    ],
)
def test_an_empty_target_of_the_operator_is_not_run(action_type, parameters, name):
    ConfigValue.objects.create(key="nowhere", value="")
    execution = due_execution(parameters, action=make_local_action(action_type))

    launch.run_local()

    execution.refresh_from_db()
    assert execution.error_message == f"{name}: is empty: it must name the target of the action"


def test_target_parameters_come_from_the_setting(sandbox, st2, settings):
    settings.TARGET_PARAMETERS = ["text"]
    sandbox.configure(
        actions={
            "acme.fix": {"runner_type": "noop", "parameters": {"text": {}, "host": {}}},
        }
    )
    for parameters in ({"text": ""}, {"host": ""}):
        due_execution_of("acme.fix", parameters)

    launch.launch_due(client=st2)

    rows = ActionExecution.objects.order_by("pk")
    assert [row.status for row in rows] == ["failure", "running"]
    assert json.dumps(rows[1].parameters) == '{"host": ""}'
