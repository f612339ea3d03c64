"""Plan what becomes of a request: its execution, and below a workflow those of its tasks."""

import itertools
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from . import rendering, results
from .catalogue import Action, Catalogue, Task
from .executions import Execution, WallClock
from .timeline import FINAL, Moment, plan
from .validation import CASTS, Request

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
class Fate:
    """What an execution ends in, after how many seconds, and whether somebody asked for it."""

    outcome: str
    duration: float
    is_chosen: bool = False


class Mint:
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
        self, request: Request, moments: tuple[Moment, ...], parent: Execution | None = None
    ) -> Execution:
        """Return a new execution of ``request``."""
        liveaction_id, execution_id = self.new_id(), self.new_id()
        return Execution(
            id=execution_id,
            liveaction_id=liveaction_id,
            action=request.action,
            parameters=request.parameters,
            context=dict(request.context),
            moments=moments,
            wall=self._wall,
            web_url=f"{self.url}/#/history/{execution_id}/general",
            notify=request.notify,
            delay_milliseconds=request.delay_milliseconds,
            parent=parent,
        )


@dataclass(frozen=True, slots=True)
class Planner:
    """Plans executions; ``choose`` decides the fate of an action with these parameters."""

    mint: Mint
    catalogue: Catalogue
    datastore: Mapping[str, str]
    choose: Callable[[Action, Mapping[str, Any]], Fate]

    def plan(self, request: Request, fate: Fate, start: float) -> list[Execution]:
        """Return the execution of ``request``, which appears at ``start``, then its tasks'."""
        root = self._execution(request, fate, start)
        return [root, *_below(root)]

    def _execution(
        self, request: Request, fate: Fate, start: float, parent: Execution | None = None
    ) -> Execution:
        has_tasks = bool(request.action.tasks)
        full = with_defaults(request.action, request.parameters)
        moments = plan(
            fate.outcome,
            start=start,
            duration=fate.duration,
            result=results.result_of(request.action.runner_name, full, fate.outcome),
            delay=request.delay_milliseconds / 1000,
        )
        execution = self.mint.new_execution(request, moments, parent)
        if has_tasks and any(moment.status == "running" for moment in moments):
            self._run_tasks(execution, fate, full)
        return execution

    def _run_tasks(self, workflow: Execution, fate: Fate, inputs: Mapping[str, Any]) -> None:
        before = [one for one in workflow.moments if one.status in ("requested", "scheduled")]
        begun = next(one.at for one in workflow.moments if one.status == "running")
        workflow.context["workflow_execution"] = self.mint.new_id()
        at = begun
        for task in workflow.action.tasks:
            child = self._task(workflow, task, fate, inputs, at)
            workflow.children.append(child)
            if child.end is None or child.moments[-1].status != "succeeded":
                break
            at = child.end
        running = Moment(begun, "running", {"output": None}, is_sized=True)
        workflow.moments = (*before, running, *self._ending(workflow, fate, inputs))

    def _task(
        self,
        workflow: Execution,
        task: Task,
        fate: Fate,
        inputs: Mapping[str, Any],
        start: float,
    ) -> Execution:
        action = self.catalogue.actions[task.action_ref]
        parameters = {
            name: _cast(rendering.render_task(value, inputs, self.datastore), action, name)
            for name, value in task.parameters.items()
        }
        task_execution_id = self.mint.new_id()
        context = _task_context(workflow, task, action, task_execution_id)
        task_fate = self.choose(action, parameters)
        if fate.is_chosen:
            is_last = task is workflow.action.tasks[-1]
            outcome = _last_task_outcome(fate.outcome) if is_last else "succeeded"
            task_fate = Fate(outcome, task_fate.duration)
        child = self._execution(Request(action, parameters, context), task_fate, start, workflow)
        child.task_execution_id = task_execution_id
        return child

    def _ending(
        self, workflow: Execution, fate: Fate, inputs: Mapping[str, Any]
    ) -> tuple[Moment, ...]:
        last = workflow.children[-1]
        ended = last.moments[-1]
        status = _AFTER_TASK.get(ended.status, "running")
        if fate.is_chosen:
            status = "paused" if fate.outcome == "pending" else fate.outcome
        if status == "running":
            return ()
        if status not in FINAL:
            return (Moment(ended.at, status, {"output": None}, is_sized=True),)
        output = {
            name: rendering.render_task(value, inputs, self.datastore)
            for name, value in workflow.action.output.items()
        }
        task_name = last.context["orquesta"]["task_name"]
        result = results.result_of_workflow(status, output, task_name, ended.result)
        return (Moment(ended.at, status, result, is_sized=True),)


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


def _last_task_outcome(workflow_outcome: str) -> str:
    if workflow_outcome in ("paused", "pending"):
        return "pending"
    return workflow_outcome if workflow_outcome in FINAL else "running"


def _task_context(
    workflow: Execution, task: Task, action: Action, task_execution_id: str
) -> dict[str, Any]:
    user = workflow.context["user"]
    return {
        "pack": action.pack,
        "user": user,
        "parent": {"execution_id": workflow.id, "user": user, "pack": workflow.action.pack},
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
