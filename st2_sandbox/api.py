"""The StackStorm endpoints that a client of executions uses."""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from . import callback_rule, catalog_queries, queries, reruns, validation
from .credentials import Caller, unknown_key_error
from .executions import Execution, NotCancelableError, trace_tag_in
from .http_messages import (
    SERVER_BANNER,
    ConnectionCutError,
    HttpRequest,
    HttpResponse,
    StreamResponse,
    fault_response,
)
from .inquiries import Inquiries
from .state import SandboxState
from .timeline import FINAL
from .validation import FaultError

VERSION = {"version": "3.10dev", "docs_url": "http://docs.stackstorm.com/latest"}
ATTRIBUTES = ("result", "trigger_instance", "status")

Handler = Callable[[HttpRequest, Caller, str], HttpResponse | StreamResponse]


class Api:
    """Routes requests to endpoints and applies the faults of the options."""

    def __init__(self, state: SandboxState) -> None:
        self._state = state
        self._inquiry_service = Inquiries(state)
        # Method, service, path and handler. A bare port serves all services. A handler gets the
        # path's group as ``name``.
        self._routes: tuple[tuple[str, str, re.Pattern[str], Handler], ...] = tuple(
            (method, service, re.compile(path), handler)
            for method, service, path, handler in (
                ("GET", "api", r"/|/v1/?", self._get_version),
                ("GET", "api", r"/user", self._get_user),
                ("GET", "api", r"/executions/?", self._list_executions),
                ("POST", "api", r"/executions/?", self._post_execution),
                ("GET", "api", r"/executions/([^/]+)", self._get_execution),
                ("GET", "api", r"/executions/([^/]+)/children", self._list_children),
                ("GET", "api", r"/executions/([^/]+)/result", self._get_result),
                ("GET", "api", r"/executions/([^/]+)/output", self._get_output),
                ("GET", "api", r"/executions/([^/]+/attribute/[^/]+)", self._get_attribute),
                ("POST", "api", r"/executions/([^/]+)/re_run", self._rerun_execution),
                ("DELETE", "api", r"/executions/([^/]+)", self._cancel_execution),
                ("PUT", "api", r"/executions/([^/]+)", self._update_execution),
                ("GET", "api", r"/inquiries/?", self._list_inquiries),
                ("GET", "api", r"/inquiries/([^/]+)", self._get_inquiry),
                ("PUT", "api", r"/inquiries/([^/]+)", self._respond_to_inquiry),
                ("GET", "api", r"/traces/?", self._list_traces),
                ("GET", "api", r"/actions/?", self._list_actions),
                ("GET", "api", r"/actions/views/overview", self._list_overviews),
                ("GET", "api", r"/actions/views/overview/([^/]+)", self._get_overview),
                ("GET", "api", r"/actions/views/parameters/([^/]+)", self._get_parameters),
                ("GET", "api", r"/actions/([^/]+)", self._get_action),
                ("GET", "api", r"/packs/?", self._list_packs),
                ("GET", "api", r"/packs/([^/]+)", self._get_pack),
                ("GET", "stream", r"/stream", self._open_stream),
            )
        )

    def handle(self, request: HttpRequest) -> HttpResponse | StreamResponse:
        """Return the response to a request.

        Raises ConnectionCutError if the options cut the connection.
        """
        if self._state.options.unavailable:
            service = f"st2{request.service or 'api'}"
            return fault_response(
                503, f"Nginx is unable to reach {service}. Make sure service is running."
            )
        refusal = self._state.refusals.next()
        if refusal is not None and not self._state.options.refusal_after:
            return refusal
        try:
            response = self._dispatch(request)
        except FaultError as error:
            response = fault_response(error.status, error.faultstring)
        return response if refusal is None else refusal

    def _dispatch(self, request: HttpRequest) -> HttpResponse | StreamResponse:
        if request.path == "/" and not request.service and request.method == "GET":
            return HttpResponse(200, {**VERSION, "sandbox": SERVER_BANNER})
        if (
            request.path == "/tokens"
            and request.service in ("", "auth")
            and request.method == "POST"
        ):
            return self._issue_token(request)
        for method, service, path, handler in self._routes:
            found = path.fullmatch(request.path)
            if found and method == request.method and request.service in ("", service):
                return handler(
                    request, self._authenticate(request), found[1] if path.groups else ""
                )
        raise FaultError(404, "The resource could not be found.")

    def _authenticate(self, request: HttpRequest) -> Caller:
        if self._state.options.unauthorized:
            raise unknown_key_error(request.headers.get("st2-api-key", ""))
        return self._state.credentials.check(request.headers, request.query)

    def _get_version(self, request: HttpRequest, caller: Caller, name: str) -> HttpResponse:
        return HttpResponse(200, VERSION)

    def _get_user(self, request: HttpRequest, caller: Caller, name: str) -> HttpResponse:
        body = {
            "username": caller.username,
            "authentication": {"method": caller.method, "location": caller.location},
            "rbac": {"enabled": False, "roles": [], "is_admin": True},
        }
        return HttpResponse(200, body)

    def _issue_token(self, request: HttpRequest) -> HttpResponse:
        body = validation.parse_body(request.body, request.headers.get("content-type", ""))
        token, expiry = self._state.credentials.issue_token(
            request.headers.get("authorization", ""), body
        )
        response = {
            "user": self._state.credentials.username,
            "token": token,
            "expiry": self._state.wall.stamp(expiry),
            "metadata": {},
            "service": False,
            "id": self._state.factory.new_id(),
        }
        return HttpResponse(201, response, {"X-API-URL": self._state.factory.url})

    def _post_execution(self, request: HttpRequest, caller: Caller, name: str) -> HttpResponse:
        fault = (
            "ghost_rate" if self._state.options.broker_down else self._state.selector.next_fault()
        )
        if fault == "drop_request_rate":
            raise ConnectionCutError
        body = validation.parse_body(request.body, request.headers.get("content-type", ""))
        self._state.request_log.record_post(trace_tag_in(body.get("context")))
        if fault == "error_rate":
            raise FaultError(500, "Internal Server Error")
        accepted = self._validate(request, caller, body)
        if fault == "ghost_rate":
            self._state.start_execution(accepted, outcome="requested")
            raise FaultError(500, "[Errno 111] ECONNREFUSED")
        if fault == "drop_answer_rate":
            self._state.start_execution(accepted, after=self._state.options.land_late_seconds)
            raise ConnectionCutError
        execution = self._state.start_execution(accepted)
        first = execution.timeline[0]
        return HttpResponse(201, execution.view(first.at, until=first))

    def _rerun_execution(self, request: HttpRequest, caller: Caller, name: str) -> HttpResponse:
        body = validation.parse_body(request.body, request.headers.get("content-type", ""))
        return reruns.rerun(self._state, self._find_execution(name), body, user=caller.username)

    def _validate(
        self, request: HttpRequest, caller: Caller, body: Mapping[str, Any]
    ) -> validation.ExecutionRequest:
        try:
            return validation.validate_request(
                body,
                user=caller.username,
                header_context=request.headers.get("st2-context", ""),
                catalog=self._state.catalog,
                datastore=self._state.options.datastore,
            )
        except FaultError as error:
            if error.failed_request is not None:
                self._state.store_failed(error.failed_request, error.faultstring)
            raise

    def _list_executions(self, request: HttpRequest, caller: Caller, name: str) -> HttpResponse:
        page = queries.list_executions(self._state.store, request.query)
        return HttpResponse(200, page.rows, page.headers)

    def _get_execution(self, request: HttpRequest, caller: Caller, name: str) -> HttpResponse:
        select = queries.attribute_filter(request.query)
        largest = queries.parse_integer(request.query, "max_result_size")
        view = self._view(request, name)
        if largest is not None and view.get("result_size", 0) > largest:
            del view["result"]
        return HttpResponse(200, select(view))

    def _list_children(self, request: HttpRequest, caller: Caller, name: str) -> HttpResponse:
        execution = self._find_execution(name)
        select = queries.attribute_filter(request.query)
        with self._state.store.lock:
            now = self._state.clock()
            views = [select(one.view(now)) for one in execution.descendants(now)]
        return HttpResponse(200, views)

    def _get_result(self, request: HttpRequest, caller: Caller, name: str) -> HttpResponse:
        return HttpResponse(200, self._view(request, name).get("result"), content_type="text/json")

    def _get_output(self, request: HttpRequest, caller: Caller, name: str) -> HttpResponse:
        result = self._view(request, name).get("result")
        stdout = result.get("stdout", "") if isinstance(result, dict) else ""
        text = f"{stdout}\n" if stdout else ""
        return HttpResponse(200, text.encode(), content_type="text/plain; charset=UTF-8")

    def _get_attribute(self, request: HttpRequest, caller: Caller, name: str) -> HttpResponse:
        execution_id, _, attribute = name.split("/")
        if attribute not in ATTRIBUTES:
            raise FaultError(
                400,
                f'Invalid attribute "{attribute}" specified. Valid attributes are: '
                f"{', '.join(ATTRIBUTES)}",
            )
        return HttpResponse(200, self._view(request, execution_id).get(attribute))

    def _cancel_execution(self, request: HttpRequest, caller: Caller, name: str) -> HttpResponse:
        execution = self._find_execution(name)
        try:
            self._state.cancel(execution, user=caller.username)
        except NotCancelableError as error:
            return fault_response(200, str(error))  # StackStorm sends 200 with a faultstring
        if self._state.options.broker_down:
            raise FaultError(500, "Failed canceling execution.")
        return HttpResponse(200, self._view(request, name))

    def _update_execution(self, request: HttpRequest, caller: Caller, name: str) -> HttpResponse:
        execution = self._find_execution(name)
        body = validation.parse_body(request.body, request.headers.get("content-type", ""))
        new_status = body.get("status")
        with self._state.store.lock:
            status = execution.status(self._state.clock())
        if status in FINAL:
            raise FaultError(400, "Execution is already in completed state.")
        if new_status == "pausing" and not execution.is_workflow:
            raise FaultError(
                400,
                f'Failed updating execution. Unable to pause liveaction "{execution.liveaction_id}"'
                f' because it is not supported by the "{execution.action.runner_name}" runner.',
            )
        if self._inquiry_service.change_status(execution, new_status, username=caller.username):
            return HttpResponse(200, self._view(request, name))
        if new_status != "canceling":
            raise FaultError(
                400, f"sandbox: a status of {new_status!r} is not played, only 'canceling'"
            )
        return self._cancel_execution(request, caller, name)

    def _list_inquiries(self, request: HttpRequest, caller: Caller, name: str) -> HttpResponse:
        page = queries.page_of(self._inquiry_service.list_open(), request.query)
        return HttpResponse(200, page.rows, page.headers)

    def _get_inquiry(self, request: HttpRequest, caller: Caller, name: str) -> HttpResponse:
        return HttpResponse(200, self._inquiry_service.get_open(name))

    def _respond_to_inquiry(self, request: HttpRequest, caller: Caller, name: str) -> HttpResponse:
        body = validation.parse_body(request.body, request.headers.get("content-type", ""))
        return HttpResponse(
            200, self._inquiry_service.respond(name, body, username=caller.username)
        )

    def _list_traces(self, request: HttpRequest, caller: Caller, name: str) -> HttpResponse:
        store = self._state.store
        with store.lock:
            if "trace_tag" in request.query:
                found = store.with_trace_tag(request.query["trace_tag"])
            elif "execution" in request.query:
                one = store.find(request.query["execution"])
                found = store.with_trace_tag(one.trace_tag) if one and one.trace_tag else []
            else:
                found = [one for one in reversed(store.visible()) if one.trace_tag]
            roots = [one for one in found if one.parent is None and not one.rule_fields]
            callbacks = [one for one in found if one.rule_fields]
            traces = [_trace(root, callbacks, self._state.clock()) for root in reversed(roots)]
        page = queries.page_of(traces, request.query, default=queries.DEFAULT_LIMIT)
        return HttpResponse(200, page.rows, page.headers)

    def _list_actions(self, request: HttpRequest, caller: Caller, name: str) -> HttpResponse:
        page = catalog_queries.list_actions(self._state.catalog, request.query)
        return HttpResponse(200, page.rows, page.headers)

    def _list_overviews(self, request: HttpRequest, caller: Caller, name: str) -> HttpResponse:
        # StackStorm ignores ?pack= on this list.
        actions = self._state.catalog.actions.values()
        views = [{**one.view, "parameters": one.parameters} for one in actions]
        page = queries.page_of(views, request.query)
        return HttpResponse(200, page.rows, page.headers)

    def _get_action(self, request: HttpRequest, caller: Caller, name: str) -> HttpResponse:
        return HttpResponse(200, self._find_action(name).view)

    def _get_overview(self, request: HttpRequest, caller: Caller, name: str) -> HttpResponse:
        action = self._find_action(name)
        return HttpResponse(200, {**action.view, "parameters": action.parameters})

    def _get_parameters(self, request: HttpRequest, caller: Caller, name: str) -> HttpResponse:
        return HttpResponse(200, {"parameters": self._find_action(name).parameters})

    def _find_action(self, name: str) -> Any:
        action = self._state.catalog.find(name)
        if action is None:
            raise FaultError(404, f'Resource with a reference or id "{name}" not found')
        return action

    def _list_packs(self, request: HttpRequest, caller: Caller, name: str) -> HttpResponse:
        page = catalog_queries.list_packs(self._state.catalog, request.query)
        return HttpResponse(200, page.rows, page.headers)

    def _get_pack(self, request: HttpRequest, caller: Caller, name: str) -> HttpResponse:
        pack = self._state.catalog.packs.get(name)
        if pack is None:
            raise FaultError(404, f'Resource with a ref or id "{name}" not found')
        return HttpResponse(200, pack)

    def _open_stream(self, request: HttpRequest, caller: Caller, name: str) -> StreamResponse:
        return StreamResponse(request.query)

    def _find_execution(self, name: str) -> Execution:
        execution = self._state.store.find(name)
        if execution is None:
            raise FaultError(404, f'Unable to identify resource with id "{name}".')
        return execution

    def _view(self, request: HttpRequest, name: str) -> dict[str, Any]:
        execution = self._find_execution(name)
        with self._state.store.lock:
            show_secrets = request.query.get("show_secrets") == "true"
            return execution.view(self._state.clock(), show_secrets=show_secrets)


def _trace(root: Execution, callbacks: Sequence[Execution], now: float) -> dict[str, Any]:
    """Return the trace of a POST: its execution, the tasks and the callback executions."""
    # Traces are not stored, so the id is derived from the execution's id.
    trace_id = callback_rule.trace_id(root)
    own_callbacks = [one for one in callbacks if one.context["trace_context"]["id_"] == trace_id]
    return {
        "uid": f"trace:{trace_id}",
        "trace_tag": root.trace_tag,
        "trigger_instances": [],
        "rules": [],
        "action_executions": [
            {
                "object_id": one.id,
                "ref": one.action.ref,
                "updated_at": one.wall.stamp(one.start),
                "caused_by": _cause(one),
            }
            for one in (root, *root.descendants(now), *own_callbacks)
        ],
        "start_timestamp": root.wall.stamp(root.start),
        "id": trace_id,
    }


def _cause(execution: Execution) -> dict[str, str]:
    if execution.rule_fields:
        rule, instance = execution.rule_fields["rule"], execution.rule_fields["trigger_instance"]
        return {"type": "rule", "id": f"{rule['id']}:{instance['id']}"}
    if execution.parent:
        return {"type": "action_execution", "id": execution.parent.id}
    return {}
