"""Launches that StackStorm refuses: what is sent again, and what a person reads."""

import pytest
import responses

from remediation import clock
from remediation.engine.launching import action_knowledge, launch
from remediation.models import Action, ActionExecution, Heartbeat, Transition
from remediation.stackstorm import StackStormClient, StackStormUnavailable
from tests.factories import make_action, make_bucket, make_execution, make_run, make_step
from tests.remediation.stackstorm.recordings import recording

pytestmark = pytest.mark.django_db

Status = ActionExecution.Status
SCRIPT = {"runner_type": "python-script", "parameters": {"text": {"type": "string"}}}


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


@pytest.mark.parametrize("parameters", [{"timeout": {"immutable": True, "default": 5}}, {}])
def test_a_timeout_that_we_add_never_causes_a_rejection(parameters, sandbox, st2):
    sandbox.configure(actions={"acme.fix": {"runner_type": "noop", "parameters": parameters}})
    execution = due_execution(
        "acme.fix",
        {},
        st2_runner="noop",
        st2_check="found",
        st2_checked_at=clock.now(),
        st2_parameter_names=["timeout"],
    )

    for _time in range(2):
        launch.launch_due(client=st2)

    execution.refresh_from_db()
    assert execution.status == Status.RUNNING
    assert "timeout" not in execution.parameters
    assert sandbox.posts_by_trace_tag() == {execution.trace_tag: 2}


def test_a_schema_that_keeps_showing_a_refused_timeout_ends_the_execution(
    sandbox, st2, monkeypatch
):
    sandbox.configure(actions={"acme.fix": {"runner_type": "noop", "parameters": {}}})
    monkeypatch.setattr(action_knowledge, "forget_timeout", lambda _action: None)
    execution = due_execution(
        "acme.fix",
        {},
        st2_runner="noop",
        st2_check="found",
        st2_checked_at=clock.now(),
        st2_parameter_names=["timeout"],
    )

    for _time in range(4):
        launch.launch_due(client=st2)

    execution.refresh_from_db()
    assert execution.status == Status.FAILURE
    assert sandbox.posts_by_trace_tag() == {execution.trace_tag: 2}


def test_a_secret_that_stackstorm_repeats_is_masked(sandbox, st2, settings):
    settings.CONFIG_SECRETS = {"password": "hunter2-hunter2"}

    mapping = {"cmd": "true", "timeout": "{{ config.password }}"}
    execution = fire("core.local", {}, st2, st2_parameters=mapping)

    assert "(400): invalid literal for int() with base 10: '********'" in execution.error_message
    reasons = Transition.objects.values_list("reason", flat=True)
    assert not [reason for reason in reasons if "hunter2" in reason]


def _refused(words):
    return StackStormUnavailable("POST", "/executions", words, may_have_been_sent=True, status=500)


def test_a_secret_in_an_answer_that_is_no_success_is_masked(sandbox, st2, settings, monkeypatch):
    settings.CONFIG_SECRETS = {"password": "hunter2-hunter2"}

    def run_action(*_args, **_options):
        raise _refused("cannot store 'hunter2-hunter2'")

    monkeypatch.setattr(StackStormClient, "run_action", run_action)
    execution = fire("core.local", {"cmd": "true"}, st2)

    note = Heartbeat.objects.get(name="stackstorm").note
    assert "cannot store '********'" in note
    assert "cannot store '********'" in execution.error_message


def test_a_refusal_makes_stackstorm_asked_again(sandbox, st2):
    sandbox.configure(actions={"acme.fix": SCRIPT | {"enabled": False}})
    fire(
        "acme.fix",
        {},
        st2,
        st2_runner="python-script",
        st2_check="found",
        st2_checked_at=clock.now(),
    )

    action_knowledge.refresh_due(client=st2)

    assert Action.objects.get().st2_check == "disabled"


def test_a_parameter_that_was_renamed_is_named_with_its_place(sandbox, st2):
    sandbox.configure(actions={"acme.fix": SCRIPT})

    execution = fire("acme.fix", {"host": "web1"}, st2)

    assert "Additional properties are not allowed ('host' was unexpected)" in (
        execution.error_message
    )
    assert "Take host out of the parameters of step 1" in execution.error_message


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


def test_an_action_removed_since_it_was_asked_is_named_with_those_that_are_there(sandbox, st2):
    known = {"st2_check": "found", "st2_checked_at": clock.now(), "st2_runner": "noop"}

    execution = fire("core.locale", {}, st2, **known)

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
        ("clienttest.xyz", "st2 action list --pack clienttest shows its actions."),
        ("nope.x", "Install its pack: st2 pack install nope"),
    ],
)
def test_the_recorded_packs_are_looked_at_before_one_is_installed(ref, expected):
    pack = ref.partition(".")[0]
    is_there = pack == "clienttest"
    listed = "get-actions-of-pack-narrow" if is_there else "get-actions-of-pack-not-installed"
    with responses.RequestsMock() as mocked:
        base = "http://st2.test/v1"
        mocked.get(f"{base}/actions", json=recording(listed).body)
        if not is_there:
            unknown = recording("get-pack-unknown-404")
            mocked.get(f"{base}/packs/{pack}", json=unknown.body, status=unknown.status)
        client = StackStormClient(api_url=base, api_key="k", timeout=1)

        message = action_knowledge.missing(ref, client)

    assert message.endswith(expected)
