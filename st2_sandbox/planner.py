"""Plan what becomes of a request: its execution, and below a workflow those of its tasks."""

import itertools
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from . import action_chains, action_commands, inquiry_timeline, rendering, results
from .catalog import Action, Catalog, Task
from .executions import Execution, WallClock
from .timeline import FINAL, StatusChange, plan_changes
from .validation import CASTS, ExecutionRequest

# Where a workflow stands when its last task stands there; with other tasks it stays running.
_AFTER_TASK = {
    "succeeded": "succeeded",
    "failed": "failed",
    "timeout": "failed",
    "abandoned": "failed",
    "canceled": "canceled",
    "pending": "paused",
}


@dataclass(frozen=True, slots=True)
class Outcome:
    """What an execution ends in, after how many seconds, and whether somebody asked for it."""

    status: str
    duration: float
    is_chosen: bool = False
    result: Any = None  # in place of the usual one


class ExecutionFactory:
    """Makes ids as MongoDB does (time, process, counter), and executions that carry them."""

    def __init__(self, clock: Callable[[], float], wall: WallClock) -> None:
        self.url = ""
        self._clock = clock
        self._wall = wall
        self._process = secrets.token_hex(5)
        self._numbers = itertools.count(secrets.randbelow(1 << 20))

    def new_id(self) -> str:
        """Return a new id of 24 hex digits; later ones sort higher."""
        seconds = int(self._wall.at(self._clock()).timestamp())
        return f"{seconds:08x}{self._process}{next(self._numbers) % (1 << 24):06x}"

    def new_execution(
        self,
        request: ExecutionRequest,
        changes: tuple[StatusChange, ...],
        parent: Execution | None = None,
    ) -> Execution:
        """Return a new execution of ``request``."""
        liveaction_id, execution_id = self.new_id(), self.new_id()
        return Execution(
            id=execution_id,
            liveaction_id=liveaction_id,
            action=request.action,
            parameters=request.parameters,
            context=dict(request.context),
            timeline=changes,
            wall=self._wall,
            web_url=f"{self.url}/#/history/{execution_id}/general",
            notify=request.notify,
            delay_milliseconds=request.delay_milliseconds,
            parent=parent,
        )


@dataclass(frozen=True, slots=True)
class Planner:
    """Plans executions; ``choose`` decides the outcome of an action with these parameters."""

    factory: ExecutionFactory
    catalog: Catalog
    datastore: Mapping[str, str]
    choose: Callable[[Action, Mapping[str, Any]], Outcome]

    def plan(self, request: ExecutionRequest, outcome: Outcome, start: float) -> list[Execution]:
        """Return the execution of ``request``, which appears at ``start``, then its tasks'."""
        root = self._execution(request, outcome, start)
        return [root, *_below(root)]

    def _execution(
        self,
        request: ExecutionRequest,
        outcome: Outcome,
        start: float,
        parent: Execution | None = None,
    ) -> Execution:
        has_tasks = bool(request.action.tasks)
        full = with_defaults(request.action, request.parameters)
        changes = plan_changes(
            outcome.status,
            start=start,
            duration=outcome.duration,
            result=action_commands.with_command(
                results.result_for(
                    request.action.runner_name, full, outcome.status, outcome.result
                ),
                ""
                if outcome.result
                else action_commands.build_command(request.action, request.parameters),
            ),
            delay=request.delay_milliseconds / 1000,
        )
        if request.action.runner_name == inquiry_timeline.RUNNER:
            changes = inquiry_timeline.with_expiry(changes, full.get("ttl"))
        execution = self.factory.new_execution(request, changes, parent)
        if has_tasks and any(change.status == "running" for change in changes):
            self._run_tasks(execution, outcome, full)
        return execution

    def _run_tasks(self, workflow: Execution, outcome: Outcome, inputs: Mapping[str, Any]) -> None:
        before = [one for one in workflow.timeline if one.status in ("requested", "scheduled")]
        begun = next(one.at for one in workflow.timeline if one.status == "running")
        if not action_chains.is_chain(workflow):
            workflow.context["workflow_execution"] = self.factory.new_id()
        workflow.workflow_inputs = (outcome, inputs)
        self._begin_tasks(workflow, outcome, inputs, begun)
        running = StatusChange(begun, "running", {"output": None}, sets_size=True)
        planned = (running, *self._ending(workflow, outcome, inputs, begun))
        workflow.timeline = (*before, *_as_shown(workflow, planned))

    def resume(self, workflow: Execution, now: float, *, by: str) -> list[Execution]:
        """Plan a workflow again after an inquiry below it was answered; return what it starts.

        ``by``: who answered, if the inquiry is a task of this workflow itself, else empty.
        """
        passed = tuple(workflow.passed(now))
        if passed[-1].status not in ("running", "paused", "resuming"):
            return []
        outcome, inputs = workflow.workflow_inputs
        lead: list[StatusChange] = []
        at = now
        if passed[-1].status != "running":
            if by and passed[-1].status == "paused":
                lead.append(StatusChange(now, "resuming", {"output": None}, sets_size=True))
            at += inquiry_timeline.RESUME_SECONDS
            lead.append(StatusChange(at, "running", {"output": None}, sets_size=True))
        if by:
            workflow.context["resumed_by"] = by
        for child in workflow.children:
            child.is_dropped = child.start > now
        workflow.children = [child for child in workflow.children if not child.is_dropped]
        begun = self._begin_tasks(workflow, outcome, inputs, at)
        planned = (*lead, *self._ending(workflow, outcome, inputs, at))
        workflow.timeline = (*passed, *_as_shown(workflow, planned))
        above = self.resume(workflow.parent, now, by="") if workflow.parent else []
        return [one for child in begun for one in (child, *_below(child))] + above

    def _begin_tasks(
        self, workflow: Execution, outcome: Outcome, inputs: Mapping[str, Any], at: float
    ) -> list[Execution]:
        """Plan the tasks that can start because those before them succeed; return the new ones."""
        started = {_task_name(child): child for child in workflow.children}
        begun = []
        for task, before in _in_order(workflow.action.tasks):
            awaited = [started.get(name) for name in before]
            ends = [one.end for one in awaited if one and one.timeline[-1].status == "succeeded"]
            if task.name in started or len(ends) < len(awaited):
                continue
            start = max([at, *(end for end in ends if end is not None)])
            child = self._task(workflow, task, outcome, _with_responses(inputs, started), start)
            started[task.name] = child
            workflow.children.append(child)
            begun.append(child)
        return begun

    def _task(
        self,
        workflow: Execution,
        task: Task,
        outcome: Outcome,
        inputs: Mapping[str, Any],
        start: float,
    ) -> Execution:
        action = self.catalog.actions[task.action_ref]
        parameters = {
            name: _cast(rendering.render_task(value, inputs, self.datastore), action, name)
            for name, value in task.parameters.items()
        }
        task_execution_id = self.factory.new_id()
        context = _task_context(workflow, task, action, task_execution_id)
        task_outcome = self.choose(action, parameters)
        if outcome.is_chosen:
            is_last = task is workflow.action.tasks[-1]
            status = _last_task_status(outcome.status) if is_last else "succeeded"
            task_outcome = Outcome(status, task_outcome.duration, result=task_outcome.result)
        child = self._execution(
            ExecutionRequest(action, parameters, context), task_outcome, start, workflow
        )
        child.task_execution_id = task_execution_id
        return child

    def _ending(
        self, workflow: Execution, outcome: Outcome, inputs: Mapping[str, Any], at: float
    ) -> tuple[StatusChange, ...]:
        waits = {id(child): inquiry_timeline.current_wait(child, at) for child in workflow.children}
        open_waits = [wait for wait in waits.values() if wait is not None]
        others = [child for child in workflow.children if waits[id(child)] is None]
        if open_waits and not outcome.is_chosen:
            ends = [child.end for child in others]
            if None in ends:
                return ()
            workflow.context["resumed_by"] = inquiry_timeline.GARBAGE_COLLECTOR_USER
            others_end = max([at, *(end for end in ends if end is not None)])
            return inquiry_timeline.waiting_changes(open_waits, others_end)
        last = max(workflow.children, key=lambda child: child.timeline[-1].at)
        ended = last.timeline[-1]
        status = _AFTER_TASK.get(ended.status, "running")
        if outcome.is_chosen:
            status = "paused" if outcome.status == "pending" else outcome.status
        if status == "running":
            return ()
        if status not in FINAL:
            return (StatusChange(ended.at, status, {"output": None}, sets_size=True),)
        values = _with_responses(inputs, {_task_name(child): child for child in workflow.children})
        output = {
            name: rendering.render_task(value, values, self.datastore)
            for name, value in workflow.action.output.items()
        }
        result = results.workflow_result(status, output, _task_name(last), ended)
        result = result if outcome.result is None else outcome.result
        return (StatusChange(max(ended.at, at), status, result, sets_size=True),)


def _task_name(child: Execution) -> str:
    context = child.context
    return str(context["chain"]["name"] if "chain" in context else context["orquesta"]["task_name"])


def _as_shown(workflow: Execution, planned: Sequence[StatusChange]) -> Sequence[StatusChange]:
    return (
        action_chains.chain_changes(workflow, planned)
        if action_chains.is_chain(workflow)
        else planned
    )


def _in_order(tasks: Sequence[Task]) -> Iterator[tuple[Task, Sequence[str]]]:
    """Yield each task with the names of those that it comes after: its own, or the one before."""
    previous: tuple[str, ...] = ()
    for task in tasks:
        yield task, previous if task.after is None else task.after
        previous = (task.name,)


def _with_responses(inputs: Mapping[str, Any], tasks: Mapping[str, Execution]) -> dict[str, Any]:
    """Return the values for templates: the inputs, and the answer to each inquiry by its task."""
    results_by_task = {name: child.timeline[-1].result for name, child in tasks.items()}
    responses = {
        name: result["response"]
        for name, result in results_by_task.items()
        if isinstance(result, dict) and "response" in result
    }
    return {**inputs, **responses}


def with_defaults(action: Action, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``parameters`` with the action's and its runner's defaults for those not given."""
    schemas = action.parameters.items()
    defaults = {name: schema["default"] for name, schema in schemas if "default" in schema}
    return defaults | dict(parameters)


def _below(execution: Execution) -> list[Execution]:
    found = []
    for child in execution.children:
        found += [child, *_below(child)]
    return found


def _last_task_status(workflow_outcome: str) -> str:
    if workflow_outcome in ("paused", "pending"):
        return "pending"
    return workflow_outcome if workflow_outcome in FINAL else "running"


def _task_context(
    workflow: Execution, task: Task, action: Action, task_execution_id: str
) -> dict[str, Any]:
    user = workflow.context["user"]
    context = {
        "pack": action.pack,
        "user": user,
        "parent": {"execution_id": workflow.id, "user": user, "pack": workflow.action.pack},
    }
    if action_chains.is_chain(workflow):
        return {**context, "chain": {"name": task.name}}
    return {
        **context,
        "orquesta": {
            "workflow_execution_id": workflow.context["workflow_execution"],
            "task_execution_id": task_execution_id,
            "task_name": task.name,
            "task_id": task.name,
            "task_route": 0,
        },
    }


def _cast(value: Any, action: Action, name: str) -> Any:
    cast = CASTS.get(action.parameters.get(name, {}).get("type", ""))
    try:
        return cast(value) if cast is not None else value
    except (ValueError, SyntaxError, TypeError):
        return value
