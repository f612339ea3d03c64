"""Plan the execution of a request and, for a workflow, the executions of its tasks."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from . import action_chains, action_commands, inquiry_timeline, rendering, results
from .catalog import Action, Catalog, Task
from .execution_factory import ExecutionFactory
from .executions import Execution
from .timeline import FINAL, StatusChange, plan_changes
from .validation import CASTS, ExecutionRequest

# The status of a workflow by the status of its last task. With any other it stays running.
_STATUS_BY_LAST_TASK = {
    "succeeded": "succeeded",
    "failed": "failed",
    "timeout": "failed",
    "abandoned": "failed",
    "canceled": "canceled",
    "pending": "paused",
}


@dataclass(frozen=True, slots=True)
class Outcome:
    """The last status of an execution, and the seconds until then.

    ``is_chosen``: set by the options or a parameter. ``result``: replaces the default result.
    """

    status: str
    duration: float
    is_chosen: bool = False
    result: Any = None


@dataclass(frozen=True, slots=True)
class Planner:
    """Plans executions; ``select_outcome`` returns the outcome for an action and its parameters."""

    factory: ExecutionFactory
    catalog: Catalog
    datastore: Mapping[str, str]
    select_outcome: Callable[[Action, Mapping[str, Any]], Outcome]

    def plan(self, request: ExecutionRequest, outcome: Outcome, start: float) -> list[Execution]:
        """Return the execution of ``request``, visible from ``start``, and those of its tasks."""
        root = self._plan_execution(request, outcome, start)
        return [root, *_descendants(root)]

    def _plan_execution(
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
            self._plan_workflow(execution, outcome, full)
        return execution

    def _plan_workflow(
        self, workflow: Execution, outcome: Outcome, inputs: Mapping[str, Any]
    ) -> None:
        before = [one for one in workflow.timeline if one.status in ("requested", "scheduled")]
        running_at = next(one.at for one in workflow.timeline if one.status == "running")
        if not action_chains.is_chain(workflow):
            workflow.context["workflow_execution"] = self.factory.new_id()
        workflow.workflow_plan = (outcome, inputs)
        self._plan_ready_tasks(workflow, outcome, inputs, running_at)
        running = StatusChange(running_at, "running", {"output": None}, sets_size=True)
        planned = (running, *self._last_changes(workflow, outcome, inputs, running_at))
        workflow.timeline = (*before, *_shown_changes(workflow, planned))

    def resume(self, workflow: Execution, now: float, *, by: str) -> list[Execution]:
        """Plan the rest of a workflow after a response to an inquiry; return the new executions.

        ``by``: the user who responded if the inquiry is a task of this workflow, else ''.
        """
        past = tuple(workflow.past_changes(now))
        if past[-1].status not in ("running", "paused", "resuming"):
            return []
        outcome, inputs = workflow.workflow_plan
        resuming: list[StatusChange] = []
        at = now
        if past[-1].status != "running":
            if by and past[-1].status == "paused":
                resuming.append(StatusChange(now, "resuming", {"output": None}, sets_size=True))
            at += inquiry_timeline.RESUME_SECONDS
            resuming.append(StatusChange(at, "running", {"output": None}, sets_size=True))
        if by:
            workflow.context["resumed_by"] = by
        for child in workflow.children:
            child.is_dropped = child.start > now
        workflow.children = [child for child in workflow.children if not child.is_dropped]
        added = self._plan_ready_tasks(workflow, outcome, inputs, at)
        planned = (*resuming, *self._last_changes(workflow, outcome, inputs, at))
        workflow.timeline = (*past, *_shown_changes(workflow, planned))
        of_parent = self.resume(workflow.parent, now, by="") if workflow.parent else []
        return [one for child in added for one in (child, *_descendants(child))] + of_parent

    def _plan_ready_tasks(
        self, workflow: Execution, outcome: Outcome, inputs: Mapping[str, Any], at: float
    ) -> list[Execution]:
        """Plan the tasks whose predecessors succeed; return the new executions."""
        started = {_task_name(child): child for child in workflow.children}
        added = []
        for task, names in _with_predecessors(workflow.action.tasks):
            predecessors = [started.get(name) for name in names]
            ends = [
                one.end for one in predecessors if one and one.timeline[-1].status == "succeeded"
            ]
            if task.name in started or len(ends) < len(predecessors):
                continue
            start = max([at, *(end for end in ends if end is not None)])
            values = _with_responses(inputs, started)
            child = self._plan_task(workflow, task, outcome, values, start)
            started[task.name] = child
            workflow.children.append(child)
            added.append(child)
        return added

    def _plan_task(
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
        task_outcome = self.select_outcome(action, parameters)
        if outcome.is_chosen:
            is_last = task is workflow.action.tasks[-1]
            status = _last_task_status(outcome.status) if is_last else "succeeded"
            task_outcome = Outcome(status, task_outcome.duration, result=task_outcome.result)
        child = self._plan_execution(
            ExecutionRequest(action, parameters, context), task_outcome, start, workflow
        )
        child.task_execution_id = task_execution_id
        return child

    def _last_changes(
        self, workflow: Execution, outcome: Outcome, inputs: Mapping[str, Any], at: float
    ) -> tuple[StatusChange, ...]:
        """Return the status changes of a workflow after it is running at ``at``."""
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
        status = _STATUS_BY_LAST_TASK.get(ended.status, "running")
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


def _shown_changes(workflow: Execution, planned: Sequence[StatusChange]) -> Sequence[StatusChange]:
    return (
        action_chains.chain_changes(workflow, planned)
        if action_chains.is_chain(workflow)
        else planned
    )


def _with_predecessors(tasks: Sequence[Task]) -> Iterator[tuple[Task, Sequence[str]]]:
    """Yield each task with its ``after``, or else with the name of the previous task."""
    previous: tuple[str, ...] = ()
    for task in tasks:
        yield task, previous if task.after is None else task.after
        previous = (task.name,)


def _with_responses(inputs: Mapping[str, Any], tasks: Mapping[str, Execution]) -> dict[str, Any]:
    """Return the values for templates: the inputs, and each inquiry's response by task name."""
    results_by_task = {name: child.timeline[-1].result for name, child in tasks.items()}
    responses = {
        name: result["response"]
        for name, result in results_by_task.items()
        if isinstance(result, dict) and "response" in result
    }
    return {**inputs, **responses}


def with_defaults(action: Action, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``parameters`` with the defaults of the action and its runner for missing ones."""
    schemas = action.parameters.items()
    defaults = {name: schema["default"] for name, schema in schemas if "default" in schema}
    return defaults | dict(parameters)


def _descendants(execution: Execution) -> list[Execution]:
    found = []
    for child in execution.children:
        found += [child, *_descendants(child)]
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
