"""The dispatcher publishes status changes in order, without those that a cancel replaced."""

import queue

from st2_sandbox import SandboxOptions
from st2_sandbox.state import SandboxState
from st2_sandbox.validation import ExecutionRequest

from .client import API_KEY, Clock


def test_status_changes_replaced_by_a_cancel_are_not_published() -> None:
    clock = Clock()
    state = SandboxState(SandboxOptions(duration_seconds=10), api_key=API_KEY, clock=clock)
    published: queue.Queue[tuple[str, str]] = queue.Queue()
    state.dispatcher.subscribe(
        lambda execution, change: published.put((execution.id, change.status))
    )
    request = ExecutionRequest(state.catalog.actions["core.noop"], {}, {"user": "u"})

    canceled = state.start_execution(request)
    clock.advance(5)
    state.cancel(canceled, user="u")
    clock.advance(1)
    last = state.start_execution(request)
    clock.advance(100)
    state.dispatcher.start()
    seen = [published.get(timeout=10)]
    while seen[-1] != (last.id, "succeeded"):
        seen.append(published.get(timeout=10))
    state.dispatcher.stop()

    assert [status for one, status in seen if one == canceled.id] == [
        "requested",
        "scheduled",
        "running",
        "canceling",
        "canceled",
    ]
