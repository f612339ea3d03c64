"""The feed tells what came to pass, in order, and nothing that a cancel rewrote."""

import queue

from st2_sandbox import SandboxOptions
from st2_sandbox.validation import Request
from st2_sandbox.world import World

from .client import API_KEY, Clock


def test_what_a_cancel_rewrote_is_not_told() -> None:
    clock = Clock()
    world = World(SandboxOptions(duration_seconds=10), api_key=API_KEY, clock=clock)
    told: queue.Queue[tuple[str, str]] = queue.Queue()
    world.feed.listen(lambda execution, moment: told.put((execution.id, moment.status)))
    request = Request(world.catalogue.actions["core.noop"], {}, {"user": "u"})

    canceled = world.start_execution(request)
    clock.advance(5)
    world.cancel(canceled, user="u")
    clock.advance(1)
    last = world.start_execution(request)
    clock.advance(100)
    world.feed.start()
    seen = [told.get(timeout=10)]
    while seen[-1] != (last.id, "succeeded"):
        seen.append(told.get(timeout=10))
    world.feed.stop()

    assert [status for one, status in seen if one == canceled.id] == [
        "requested",
        "scheduled",
        "running",
        "canceling",
        "canceled",
    ]
