"""Action-chains: planned as workflows, shown with the results of their tasks.

Recorded: get-execution-action-chain, failure-action-chain, inquiry-in-action-chain.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from .executions import Execution
from .timeline import StatusChange

RUNNER = "action-chain"


def is_chain(execution: Execution) -> bool:
    """Return whether StackStorm runs it as an action-chain."""
    return execution.action.runner_name == RUNNER


def chain_changes(chain: Execution, changes: Iterable[StatusChange]) -> tuple[StatusChange, ...]:
    """Return the moments of a workflow's plan as an action-chain shows them."""
    return tuple(_shown(chain, changes))


def _shown(chain: Execution, changes: Iterable[StatusChange]) -> Iterator[StatusChange]:
    # Both are shown once it is paused.
    chain.context.update(paused_by=chain.context["user"], vars={})
    previous = ""
    for change in changes:
        if change.result is None:
            yield change
            previous = change.status
            continue
        result = {"tasks": _tasks(chain.children, change.at), "published": {}}
        if change.status == "paused" and previous == "running":
            yield StatusChange(change.at, "pausing", result, sets_size=True)
        yield StatusChange(change.at, change.status, result, sets_size=True)
        previous = change.status


def _tasks(children: Sequence[Execution], at: float) -> list[dict[str, Any]]:
    return [_task(child, child.passed(at)) for child in children if child.passed(at)]


def _task(child: Execution, passed: Sequence[StatusChange]) -> dict[str, Any]:
    name = child.context["chain"]["name"]
    return {
        "id": name,
        "name": name,
        "execution_id": child.id,
        "liveaction_id": child.liveaction_id,
        "workflow": None,
        "created_at": child.wall.at(child.start).isoformat(),
        "updated_at": child.wall.at(passed[-1].at).isoformat(),
        "state": passed[-1].status,
        "result": passed[-1].result,
    }
