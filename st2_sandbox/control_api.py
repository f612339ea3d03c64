"""The sandbox's own endpoints under /sandbox, for tests in other processes and for the curious.

They ask for the same credentials as the others, and no fault touches them.
"""

from dataclasses import asdict

from . import validation
from .http_messages import HttpRequest, HttpResponse, fault
from .options import OptionError
from .state import SandboxState
from .validation import FaultError


def answer(state: SandboxState, call: HttpRequest) -> HttpResponse:
    """Answer a request below /sandbox."""
    try:
        state.credentials.check(call.headers, call.query)
        return _answer(state, call)
    except OptionError as error:
        return fault(400, str(error))
    except FaultError as refused:
        return fault(refused.status, refused.faultstring)


def _answer(state: SandboxState, call: HttpRequest) -> HttpResponse:
    asked = (call.method, call.path)
    if asked == ("GET", "/sandbox/stats"):
        return HttpResponse(200, state.stats())
    if asked == ("GET", "/sandbox/executions"):
        return HttpResponse(200, state.store.timings())
    if asked == ("GET", "/sandbox/requests"):
        return HttpResponse(200, state.request_log.requests())
    if asked == ("POST", "/sandbox/config"):
        options = state.configure(validation.parse_body(call.body, ""))
        shown = asdict(options)
        shown.pop("callback_token")
        return HttpResponse(200, shown)
    if asked == ("POST", "/sandbox/reset"):
        state.reset()
        return HttpResponse(200, state.stats())
    raise FaultError(
        404,
        "There are GET /sandbox/stats, GET /sandbox/executions, GET /sandbox/requests, "
        "POST /sandbox/config and POST /sandbox/reset.",
    )
