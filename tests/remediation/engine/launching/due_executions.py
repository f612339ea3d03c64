"""Due executions of buckets with one step."""

from __future__ import annotations

from typing import Any

from remediation.engine.launching import launch
from remediation.models import Action, ActionExecution, Alert
from remediation.stackstorm import StackStormClient
from tests.factories import (
    make_action,
    make_bucket,
    make_execution,
    make_local_action,
    make_run,
    make_step,
)

Parameters = dict[str, Any]


def due_execution(
    parameters: Parameters | None = None,
    *,
    action: Action | None = None,
    alert: Alert | None = None,
    **columns: Any,
) -> ActionExecution:
    """Return a due execution of ``action``, by default of core.local with the command `true`."""
    bucket = make_bucket()
    action = action or make_action(st2_runner="local-shell-cmd")
    make_step(bucket, action, parameters={"cmd": "true"} if parameters is None else parameters)
    return make_execution(make_run(bucket, alert), **columns)


def due_executions(count: int, **bucket: Any) -> list[ActionExecution]:
    """Return due executions of core.local in one bucket, each in its own run."""
    made = make_bucket(**bucket)
    make_step(made, make_action(st2_runner="local-shell-cmd"), parameters={"cmd": "true"})
    return [make_execution(make_run(made)) for _ in range(count)]


def due_local_execution(action_type: str, /, **parameters: Any) -> ActionExecution:
    """Return a due execution of a local action."""
    return due_execution(parameters, action=make_local_action(action_type))


def due_execution_of(
    ref: str, parameters: Parameters, *, alert: Alert | None = None, **action: Any
) -> ActionExecution:
    """Return a due execution of the StackStorm action ``ref`` with these columns."""
    return due_execution(parameters, action=make_action(st2_action_ref=ref, **action), alert=alert)


def launched(
    ref: str,
    parameters: Parameters,
    st2: StackStormClient,
    *,
    alert: Alert | None = None,
    **action: Any,
) -> ActionExecution:
    """Return an execution of the StackStorm action ``ref`` after one batch of launches."""
    execution = due_execution_of(ref, parameters, alert=alert, **action)
    launch.launch_due(client=st2)
    execution.refresh_from_db()
    return execution
