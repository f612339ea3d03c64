"""Run an execution again, as people do in StackStorm's web page (rerun-*, post-re-run-*).

The new execution has no trace tag and no `notify`: it names the first in `context.re-run.ref`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from . import rules, validation
from .executions import Execution
from .messages import Answer
from .timeline import Moment
from .validation import RefusedError, Request
from .world import World

NOT_FOUND = "Unable to rerun workflow because one or more tasks is not found: "


def answer(world: World, original: Execution, body: Mapping[str, Any], *, user: str) -> Answer:
    """Start an execution again; the answer shows it as it begins.

    Raises RefusedError.
    """
    tasks = list(body.get("tasks") or [])
    _check(original, body, tasks)
    request = _request(world, original, body, user=user)
    unknown = [name for name in tasks if name not in _names(original)]
    if unknown:
        made = _failed(world, request, unknown)
    else:
        made = world.start_execution(_from(request, tasks))
    first = made.moments[0]
    return Answer(201, made.view(first.at, until=first))


def _check(original: Execution, body: Mapping[str, Any], tasks: Sequence[str]) -> None:
    problem = ""
    if tasks and original.action.runner_name != "orquesta":
        problem = "Task option is only supported for Orquesta workflows."
    elif tasks and body.get("parameters"):
        problem = "Parameters override is not supported when re-running task(s) for a workflow."
    elif set(body.get("reset") or []) - set(tasks):
        problem = "List of tasks to reset does not match the tasks to rerun."
    if problem:
        raise RefusedError(400, problem)


def _request(world: World, original: Execution, body: Mapping[str, Any], *, user: str) -> Request:
    request = validation.judge(
        {
            "action": original.action.ref,
            "parameters": {**original.parameters, **(body.get("parameters") or {})},
        },
        user=user,
        header_context="",
        catalogue=world.catalogue,
        datastore=world.options.datastore,
    )
    named = {name: body[name] for name in ("tasks", "reset") if body.get(name)}
    trace = original.context.get("trace_context", {}).get("id_") or rules.trace_id(original)
    context = {
        "re-run": {"ref": original.id, **named},
        "trace_context": {"id_": trace},
        "user": user,
        "pack": original.action.pack,
    }
    return replace(request, context=context)


def _names(original: Execution) -> list[str]:
    return [task.name for task in original.action.tasks]


def _from(request: Request, tasks: Sequence[str]) -> Request:
    """Return the request for a workflow that begins with the first of these tasks."""
    if not tasks:
        return request
    names = [task.name for task in request.action.tasks]
    first = min(names.index(name) for name in tasks)
    return replace(request, action=replace(request.action, tasks=request.action.tasks[first:]))


def _failed(world: World, request: Request, unknown: Sequence[str]) -> Execution:
    now, seconds = world.clock(), world.options.duration_seconds
    result = {"errors": [{"message": NOT_FOUND + ", ".join(unknown)}], "output": None}
    moments = (
        Moment(now, "requested"),
        Moment(now + 0.1 * seconds, "scheduled"),
        Moment(now + 0.2 * seconds, "running"),
        Moment(now + seconds, "failed", result, is_sized=True),
    )
    made = world.mint.new_execution(request, moments)
    world.store.keep([made])
    world.feed.watch(made, moments)
    return made
