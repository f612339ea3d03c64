"""Due executions of runs with one step."""

from __future__ import annotations

from typing import Any

from remediation.models import Action, ActionExecution
from tests.factories import make_action, make_bucket, make_execution, make_run, make_step


def execution_of(
    parameters: dict[str, Any], *, action: Action | None = None, **columns: Any
) -> ActionExecution:
    """Return a due execution of a step with these parameters, of core.local by default."""
    bucket = make_bucket()
    action = action or make_action(st2_runner="local-shell-cmd")
    make_step(bucket, action, parameters=parameters)
    return make_execution(make_run(bucket), **columns)


def good(**columns: Any) -> ActionExecution:
    """Return a due execution that can be rendered."""
    return execution_of({"cmd": "true"}, **columns)
