"""The sandbox's own endpoints under /sandbox, for tests in other processes.

They require the same credentials as StackStorm's endpoints. Faults do not affect them.
"""

from dataclasses import asdict

from . import validation
from .http_messages import HttpRequest, HttpResponse, fault_response
from .options import OptionError
from .state import SandboxState
from .validation import FaultError


def handle(state: SandboxState, request: HttpRequest) -> HttpResponse:
    """Handle a request under /sandbox."""
    try:
        state.credentials.check(request.headers, request.query)
        return _handle(state, request)
    except OptionError as error:
        return fault_response(400, str(error))
    except FaultError as error:
        return fault_response(error.status, error.faultstring)


def _handle(state: SandboxState, request: HttpRequest) -> HttpResponse:
    endpoint = (request.method, request.path)
    if endpoint == ("GET", "/sandbox/stats"):
        return HttpResponse(200, state.stats())
    if endpoint == ("GET", "/sandbox/executions"):
        return HttpResponse(200, state.store.timings())
    if endpoint == ("GET", "/sandbox/requests"):
        return HttpResponse(200, state.request_log.requests())
    if endpoint == ("POST", "/sandbox/config"):
        options = state.configure(validation.parse_body(request.body, ""))
        shown = asdict(options)
        shown.pop("callback_token")
        return HttpResponse(200, shown)
    if endpoint == ("POST", "/sandbox/reset"):
        state.reset()
        return HttpResponse(200, state.stats())
    raise FaultError(
        404,
        "There are GET /sandbox/stats, GET /sandbox/executions, GET /sandbox/requests, "
        "POST /sandbox/config and POST /sandbox/reset.",
    )
