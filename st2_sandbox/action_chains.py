"""Action chains: planned like workflows; the result lists the tasks.

Recordings: get-execution-action-chain, failure-action-chain, inquiry-in-action-chain.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from .executions import Execution
from .timeline import StatusChange

RUNNER = "action-chain"


def is_chain(execution: Execution) -> bool:
    """Return whether the execution is an action chain."""
    return execution.action.runner_name == RUNNER


def chain_changes(chain: Execution, changes: Iterable[StatusChange]) -> tuple[StatusChange, ...]:
    """Convert the planned status changes of a workflow to those of an action chain."""
    return tuple(_convert(chain, changes))


def _convert(chain: Execution, changes: Iterable[StatusChange]) -> Iterator[StatusChange]:
    # CONTEXT_SHOWN_FROM hides both until the chain is pausing.
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
    return [_task(child, child.past_changes(at)) for child in children if child.past_changes(at)]


def _task(child: Execution, past: Sequence[StatusChange]) -> dict[str, Any]:
    name = child.context["chain"]["name"]
    return {
        "id": name,
        "name": name,
        "execution_id": child.id,
        "liveaction_id": child.liveaction_id,
        "workflow": None,
        "created_at": child.wall.at(child.start).isoformat(),
        "updated_at": child.wall.at(past[-1].at).isoformat(),
        "state": past[-1].status,
        "result": past[-1].result,
    }
