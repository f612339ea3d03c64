"""Slow fetches of action metadata do not delay a batch, and no needed fetch is left out."""

from typing import Any

import pytest

from remediation import clock
from remediation.engine.launching import action_refresh, launch
from remediation.models import Action, ActionExecution
from tests.factories import make_action
from tests.remediation.engine.launching.due_executions import due_execution_of

pytestmark = pytest.mark.django_db


def test_an_action_that_was_not_fetched_in_time_waits_for_the_next_batch(sandbox, st2, monkeypatch):
    monkeypatch.setattr(action_refresh, "FETCH_SECONDS", -1.0)
    executions = [due_execution_of("core.local", {"cmd": "true"}) for _number in range(2)]

    launch.launch_due(client=st2)

    assert not sandbox.posts_by_trace_tag()
    assert set(ActionExecution.objects.values_list("status", flat=True)) == {"pending"}
    monkeypatch.undo()
    launch.launch_due(client=st2)
    assert sandbox.posts_by_trace_tag() == {row.trace_tag: 1 for row in executions}


def test_nothing_is_sent_with_metadata_that_was_not_renewed_in_time(sandbox, st2, monkeypatch):
    monkeypatch.setattr(action_refresh, "FETCH_SECONDS", -1.0)
    known: dict[str, Any] = {"st2_runner": "local-shell-cmd", "st2_check": "found"}
    execution = due_execution_of("core.local", {"cmd": "echo $HOME"}, **known)

    launch.launch_due(client=st2)

    assert not sandbox.posts_by_trace_tag()
    monkeypatch.undo()
    launch.launch_due(client=st2)
    assert sandbox.posts_by_trace_tag() == {execution.trace_tag: 1}
    checked_at = Action.objects.get().st2_checked_at
    assert checked_at is not None
    assert clock.now() >= checked_at


def test_a_secret_default_is_not_stored(st2, sandbox):
    schema = {
        "token": {"type": "string", "secret": True, "default": "hunter2"},
        "cmd": {"immutable": True, "default": "curl -H {{token}} {{url}}"},
    }
    sandbox.configure(actions={"acme.c": {"runner_type": "local-shell-cmd", "parameters": schema}})
    action = make_action(st2_action_ref="acme.c")

    action_refresh.fetch([action], st2)

    action.refresh_from_db()
    assert "hunter2" not in str(action.st2_command)
    assert action.command.includes("url")
