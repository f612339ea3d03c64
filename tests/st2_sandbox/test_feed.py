"""The feed publishes status changes in order, without those that a cancel replaced."""

import queue

from st2_sandbox import SandboxOptions
from st2_sandbox.validation import Request
from st2_sandbox.world import World

from .client import API_KEY, Clock


def test_status_changes_replaced_by_a_cancel_are_not_published() -> None:
    clock = Clock()
    world = World(SandboxOptions(duration_seconds=10), api_key=API_KEY, clock=clock)
    published: queue.Queue[tuple[str, str]] = queue.Queue()
    world.feed.listen(lambda execution, moment: published.put((execution.id, moment.status)))
    request = Request(world.catalogue.actions["core.noop"], {}, {"user": "u"})

    canceled = world.start_execution(request)
    clock.advance(5)
    world.cancel(canceled, user="u")
    clock.advance(1)
    last = world.start_execution(request)
    clock.advance(100)
    world.feed.start()
    seen = [published.get(timeout=10)]
    while seen[-1] != (last.id, "succeeded"):
        seen.append(published.get(timeout=10))
    world.feed.stop()

    assert [status for one, status in seen if one == canceled.id] == [
        "requested",
        "scheduled",
        "running",
        "canceling",
        "canceled",
    ]
