"""Slow answers about actions hold up no batch of launches, and nothing goes unasked."""

import pytest

from remediation import clock
from remediation.engine.launching import action_knowledge, launch
from remediation.models import Action, ActionExecution
from tests.factories import make_action, make_bucket, make_execution, make_run, make_step

pytestmark = pytest.mark.django_db


def due(cmd, **action):
    bucket = make_bucket()
    make_step(bucket, make_action(**action), parameters={"cmd": cmd})
    return make_execution(make_run(bucket))


def test_what_was_not_asked_for_in_time_waits_for_the_next_batch(sandbox, st2, monkeypatch):
    monkeypatch.setattr(action_knowledge, "ASK_SECONDS", -1.0)
    executions = [due("true") for _number in range(2)]

    launch.launch_due(client=st2)

    assert not sandbox.posts_by_trace_tag()
    assert set(ActionExecution.objects.values_list("status", flat=True)) == {"pending"}
    monkeypatch.undo()
    launch.launch_due(client=st2)
    assert sandbox.posts_by_trace_tag() == {row.trace_tag: 1 for row in executions}


def test_a_stale_answer_that_could_not_be_renewed_in_time_sends_nothing(sandbox, st2, monkeypatch):
    monkeypatch.setattr(action_knowledge, "ASK_SECONDS", -1.0)
    execution = due("echo $HOME", st2_runner="local-shell-cmd", st2_check="found")

    launch.launch_due(client=st2)

    assert not sandbox.posts_by_trace_tag()
    monkeypatch.undo()
    launch.launch_due(client=st2)
    assert sandbox.posts_by_trace_tag() == {execution.trace_tag: 1}
    assert clock.now() >= Action.objects.get().st2_checked_at


def test_a_secret_default_is_not_kept(st2, sandbox):
    schema = {
        "token": {"type": "string", "secret": True, "default": "hunter2"},
        "cmd": {"immutable": True, "default": "curl -H {{token}} {{url}}"},
    }
    sandbox.configure(actions={"acme.c": {"runner_type": "local-shell-cmd", "parameters": schema}})
    action = make_action(st2_action_ref="acme.c")

    action_knowledge.ask([action], st2)

    action.refresh_from_db()
    assert "hunter2" not in str(action.st2_command)
    assert action.command.includes("url")
