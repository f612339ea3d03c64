"""Launches that StackStorm rejects: which are resent, and the remedy in the reason."""

from typing import Any

import pytest
import responses

from remediation import clock
from remediation.engine.launching import action_metadata, action_refresh, launch
from remediation.models import Action, ActionExecution, Problem, Transition
from remediation.stackstorm import StackStormClient, StackStormUnavailable
from tests.factories import make_action, make_bucket, make_execution, make_run, make_step
from tests.remediation.engine.launching.due_executions import due_execution_of, launched
from tests.remediation.stackstorm.recordings import recording

pytestmark = pytest.mark.django_db

Status = ActionExecution.Status
SCRIPT = {"runner_type": "python-script", "parameters": {"text": {"type": "string"}}}


def due_execution_with_timeout():
    """Return a due execution whose action took a timeout when its metadata was read."""
    return due_execution_of(
        "acme.fix",
        {},
        st2_runner="noop",
        st2_check="found",
        st2_checked_at=clock.now(),
        st2_parameter_names=["timeout"],
    )


@pytest.mark.parametrize("parameters", [{"timeout": {"immutable": True, "default": 5}}, {}])
def test_an_execution_is_resent_without_the_timeout_we_added(parameters, sandbox, st2):
    sandbox.configure(actions={"acme.fix": {"runner_type": "noop", "parameters": parameters}})
    execution = due_execution_with_timeout()

    for _batch in range(2):
        launch.launch_due(client=st2)

    execution.refresh_from_db()
    assert execution.status == Status.RUNNING
    assert "timeout" not in execution.parameters
    assert sandbox.posts_by_trace_tag() == {execution.trace_tag: 2}


def test_it_is_resent_only_once_if_the_schema_keeps_listing_the_timeout(sandbox, st2, monkeypatch):
    sandbox.configure(actions={"acme.fix": {"runner_type": "noop", "parameters": {}}})
    monkeypatch.setattr(action_metadata, "drop_timeout", lambda _action: None)
    execution = due_execution_with_timeout()

    for _batch in range(4):
        launch.launch_due(client=st2)

    execution.refresh_from_db()
    assert execution.status == Status.FAILURE
    assert sandbox.posts_by_trace_tag() == {execution.trace_tag: 2}


def test_a_resend_by_a_worker_of_the_previous_release_counts(sandbox, st2, monkeypatch):
    sandbox.configure(actions={"acme.fix": {"runner_type": "noop", "parameters": {}}})
    monkeypatch.setattr(action_metadata, "drop_timeout", lambda _action: None)
    execution = due_execution_with_timeout()
    execution.error_message = (
        "StackStorm takes no timeout for this action: it is sent again without"
    )
    execution.save()

    launch.launch_due(client=st2)

    execution.refresh_from_db()
    assert execution.status == Status.FAILURE


def test_a_secret_in_a_rejection_is_masked(sandbox, st2, settings):
    settings.CONFIG_SECRETS = {"password": "hunter2-hunter2"}

    mapping = {"cmd": "true", "timeout": "{{ config.password }}"}
    execution = launched("core.local", {}, st2, st2_parameters=mapping)

    assert "(400): invalid literal for int() with base 10: '********'" in execution.error_message
    reasons = Transition.objects.values_list("reason", flat=True)
    assert not [reason for reason in reasons if "hunter2" in reason]


def server_error(message):
    return StackStormUnavailable(
        "POST", "/executions", message, may_have_been_sent=True, status=500
    )


def test_a_secret_in_an_error_response_is_masked(sandbox, st2, settings, monkeypatch):
    settings.CONFIG_SECRETS = {"password": "hunter2-hunter2"}

    def run_action(*_args, **_options):
        raise server_error("cannot store 'hunter2-hunter2'")

    monkeypatch.setattr(StackStormClient, "run_action", run_action)
    execution = launched("core.local", {"cmd": "true"}, st2)

    note = Problem.objects.get(name="stackstorm").text
    assert "cannot store '********'" in note
    assert "cannot store '********'" in execution.error_message


def test_a_rejection_causes_a_refresh_of_the_metadata(sandbox, st2):
    sandbox.configure(actions={"acme.fix": SCRIPT | {"enabled": False}})
    launched(
        "acme.fix",
        {},
        st2,
        st2_runner="python-script",
        st2_check="found",
        st2_checked_at=clock.now(),
    )

    action_refresh.refresh_due(client=st2)

    assert Action.objects.get().st2_check == "disabled"


def test_an_unexpected_parameter_is_named_with_its_place(sandbox, st2):
    sandbox.configure(actions={"acme.fix": SCRIPT})

    execution = launched("acme.fix", {"host": "web1"}, st2)

    assert "Additional properties are not allowed ('host' was unexpected)" in (
        execution.error_message
    )
    assert "Remove host from the parameters of step 1" in execution.error_message


def test_a_missing_parameter_of_a_workflow_bucket_is_named_with_its_place(sandbox, st2):
    parameters = {"host": {"type": "string", "required": True}}
    sandbox.configure(actions={"acme.wf": {"runner_type": "orquesta", "parameters": parameters}})
    bucket = make_bucket(
        name="host_down", use_stackstorm=True, st2_workflow_name="wf", st2_workflow_pack="acme"
    )
    execution = make_execution(make_run(bucket))

    launch.launch_due(client=st2)

    execution.refresh_from_db()
    assert execution.error_message == (
        "StackStorm rejected POST /executions (400): 'host' is a required property. Add host to"
        " st2_workflow_params of the bucket host_down."
    )


@pytest.mark.parametrize(
    ("mapping", "place"),
    [
        ({}, "the parameters of step 1 (fix) of the bucket nginx, as its action has no st2_"),
        ({"env": {"A": "b"}}, "st2_parameters of the action fix."),
    ],
)
def test_a_missing_parameter_of_an_action_is_named_with_its_place(mapping, place, sandbox, st2):
    bucket = make_bucket(name="nginx")
    make_step(bucket, make_action(name="fix", st2_parameters=mapping))
    execution = make_execution(make_run(bucket))

    launch.launch_due(client=st2)

    execution.refresh_from_db()
    assert f"'cmd' is a required property. Add cmd to {place}" in execution.error_message


def test_a_removed_action_is_named_with_similar_actions_of_its_pack(sandbox, st2):
    known: dict[str, Any] = {
        "st2_check": "found",
        "st2_checked_at": clock.now(),
        "st2_runner": "noop",
    }

    execution = launched("core.locale", {}, st2, **known)

    assert 'Action "core.locale" cannot be found.' in execution.error_message
    assert "StackStorm has the pack core, but no action core.locale in it." in (
        execution.error_message
    )
    assert "core.local" in execution.error_message.partition("It has ")[2]
    assert "st2 pack install" not in execution.error_message


@pytest.mark.parametrize(
    ("ref", "expected"),
    [
        ("clienttest.changed", "It has clienttest.changing: correct st2_action_ref."),
        ("clienttest.xyz", "st2 action list --pack clienttest lists its actions."),
        ("aws.x", "Install its pack: st2 pack install aws"),
    ],
)
def test_the_remedy_depends_on_whether_the_pack_is_installed(ref, expected):
    pack = ref.partition(".")[0]
    is_installed = pack == "clienttest"
    listed = "get-actions-of-pack-narrow" if is_installed else "get-actions-of-pack-not-installed"
    with responses.RequestsMock() as mocked:
        base = "http://st2.test/v1"
        mocked.get(f"{base}/actions", json=recording(listed).body)
        if not is_installed:
            unknown = recording("get-pack-unknown-404")
            mocked.get(f"{base}/packs/{pack}", json=unknown.body, status=unknown.status)
        client = StackStormClient(api_url=base, api_key="k", timeout=1)

        message = action_metadata.missing_message(ref, client)

    assert message.endswith(expected)
