"""Action-chains: planned as workflows, shown with the results of their tasks.

Recorded: get-execution-action-chain, failure-action-chain, inquiry-in-action-chain.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from .executions import Execution
from .timeline import Moment

RUNNER = "action-chain"


def is_chain(execution: Execution) -> bool:
    """Return whether StackStorm runs it as an action-chain."""
    return execution.action.runner_name == RUNNER


def as_shown(chain: Execution, moments: Iterable[Moment]) -> tuple[Moment, ...]:
    """Return the moments of a workflow's plan as an action-chain shows them."""
    return tuple(_shown(chain, moments))


def _shown(chain: Execution, moments: Iterable[Moment]) -> Iterator[Moment]:
    # Both are shown once it is paused.
    chain.context.update(paused_by=chain.context["user"], vars={})
    previous = ""
    for moment in moments:
        if moment.result is None:
            yield moment
            previous = moment.status
            continue
        result = {"tasks": _tasks(chain.children, moment.at), "published": {}}
        if moment.status == "paused" and previous == "running":
            yield Moment(moment.at, "pausing", result, is_sized=True)
        yield Moment(moment.at, moment.status, result, is_sized=True)
        previous = moment.status


def _tasks(children: Sequence[Execution], at: float) -> list[dict[str, Any]]:
    return [_task(child, child.passed(at)) for child in children if child.passed(at)]


def _task(child: Execution, passed: Sequence[Moment]) -> dict[str, Any]:
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
