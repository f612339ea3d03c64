"""The sandbox's own endpoints under /sandbox, for tests in other processes and for the curious.

They ask for the same credentials as the others, and no fault touches them.
"""

from dataclasses import asdict

from . import validation
from .messages import Answer, Call, faultstring
from .options import OptionError
from .validation import RefusedError
from .world import World


def answer(world: World, call: Call) -> Answer:
    """Answer a request below /sandbox."""
    try:
        world.credentials.check(call.headers, call.query)
        return _answer(world, call)
    except OptionError as error:
        return faultstring(400, str(error))
    except RefusedError as refused:
        return faultstring(refused.status, refused.faultstring)


def _answer(world: World, call: Call) -> Answer:
    asked = (call.method, call.path)
    if asked == ("GET", "/sandbox/stats"):
        return Answer(200, world.stats())
    if asked == ("GET", "/sandbox/executions"):
        return Answer(200, world.store.times())
    if asked == ("GET", "/sandbox/requests"):
        return Answer(200, world.journal.requests())
    if asked == ("POST", "/sandbox/config"):
        options = world.configure(validation.parse(call.body, ""))
        shown = asdict(options)
        shown.pop("callback_token")
        return Answer(200, shown)
    if asked == ("POST", "/sandbox/reset"):
        world.reset()
        return Answer(200, world.stats())
    raise RefusedError(
        404,
        "There are GET /sandbox/stats, GET /sandbox/executions, GET /sandbox/requests, "
        "POST /sandbox/config and POST /sandbox/reset.",
    )
