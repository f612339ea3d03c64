"""Launches that StackStorm refuses: what is sent again, and what a person reads."""

import pytest

from remediation import clock
from remediation.engine import knowledge, launch
from remediation.models import Action, ActionExecution
from tests.factories import make_action, make_bucket, make_execution, make_run, make_step

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

    knowledge.refresh_due(client=st2)

    assert Action.objects.get().st2_check == "disabled"


def test_a_parameter_that_was_renamed_is_named_with_its_place(sandbox, st2):
    sandbox.configure(actions={"acme.fix": SCRIPT})

    execution = fire("acme.fix", {"host": "web1"}, st2)

    assert "Additional properties are not allowed ('host' was unexpected)" in (
        execution.error_message
    )
    assert "Take host out of the parameters of step 1" in execution.error_message
