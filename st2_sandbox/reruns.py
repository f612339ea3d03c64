"""Rerun an execution, as users do in StackStorm's web UI (rerun-*, post-re-run-*).

The new execution has no trace tag and no `notify`; `context.re-run.ref` is the original's id.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from . import callback_rule, validation
from .executions import Execution
from .http_messages import HttpResponse
from .state import SandboxState
from .timeline import StatusChange
from .validation import ExecutionRequest, FaultError

NOT_FOUND = "Unable to rerun workflow because one or more tasks is not found: "


def rerun(
    state: SandboxState, original: Execution, body: Mapping[str, Any], *, user: str
) -> HttpResponse:
    """Rerun an execution; the response shows the new one as requested.

    Raises FaultError.
    """
    tasks = list(body.get("tasks") or [])
    _check(original, body, tasks)
    request = _request(state, original, body, user=user)
    unknown = [name for name in tasks if name not in _task_names(original)]
    if unknown:
        created = _start_failing(state, request, unknown)
    else:
        created = state.start_execution(_starting_at(request, tasks))
    first = created.timeline[0]
    return HttpResponse(201, created.view(first.at, until=first))


def _check(original: Execution, body: Mapping[str, Any], tasks: Sequence[str]) -> None:
    problem = ""
    if tasks and original.action.runner_name != "orquesta":
        problem = "Task option is only supported for Orquesta workflows."
    elif tasks and body.get("parameters"):
        problem = "Parameters override is not supported when re-running task(s) for a workflow."
    elif set(body.get("reset") or []) - set(tasks):
        problem = "List of tasks to reset does not match the tasks to rerun."
    if problem:
        raise FaultError(400, problem)


def _request(
    state: SandboxState, original: Execution, body: Mapping[str, Any], *, user: str
) -> ExecutionRequest:
    request = validation.validate_request(
        {
            "action": original.action.ref,
            "parameters": {**original.parameters, **(body.get("parameters") or {})},
        },
        user=user,
        header_context="",
        catalog=state.catalog,
        datastore=state.options.datastore,
    )
    named = {name: body[name] for name in ("tasks", "reset") if body.get(name)}
    trace = original.context.get("trace_context", {}).get("id_") or callback_rule.trace_id(original)
    context = {
        "re-run": {"ref": original.id, **named},
        "trace_context": {"id_": trace},
        "user": user,
        "pack": original.action.pack,
    }
    return replace(request, context=context)


def _task_names(original: Execution) -> list[str]:
    return [task.name for task in original.action.tasks]


def _starting_at(request: ExecutionRequest, tasks: Sequence[str]) -> ExecutionRequest:
    """Return the request of a workflow that starts at the first of these tasks."""
    if not tasks:
        return request
    names = [task.name for task in request.action.tasks]
    first = min(names.index(name) for name in tasks)
    return replace(request, action=replace(request.action, tasks=request.action.tasks[first:]))


def _start_failing(
    state: SandboxState, request: ExecutionRequest, unknown: Sequence[str]
) -> Execution:
    now, seconds = state.clock(), state.options.duration_seconds
    result = {"errors": [{"message": NOT_FOUND + ", ".join(unknown)}], "output": None}
    changes = (
        StatusChange(now, "requested"),
        StatusChange(now + 0.1 * seconds, "scheduled"),
        StatusChange(now + 0.2 * seconds, "running"),
        StatusChange(now + seconds, "failed", result, sets_size=True),
    )
    created = state.factory.new_execution(request, changes)
    state.store.add([created])
    state.dispatcher.schedule(created, changes)
    return created
