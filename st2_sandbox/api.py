"""StackStorm's endpoints, as far as a client of its executions calls them."""

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
    fault,
)
from .inquiries import Inquiries
from .state import SandboxState
from .timeline import FINAL
from .validation import FaultError

VERSION = {"version": "3.10dev", "docs_url": "http://docs.stackstorm.com/latest"}
ATTRIBUTES = ("result", "trigger_instance", "status")

Handler = Callable[[HttpRequest, Caller, str], HttpResponse | StreamResponse]


class Api:
    """Answers calls from a world."""

    def __init__(self, state: SandboxState) -> None:
        self._state = state
        self._inquiry_service = Inquiries(state)
        # Method, service (bare ports serve all), path, handler; the group is the handler's name.
        self._routes: tuple[tuple[str, str, re.Pattern[str], Handler], ...] = tuple(
            (method, service, re.compile(path), handler)
            for method, service, path, handler in (
                ("GET", "api", r"/|/v1/?", self._version),
                ("GET", "api", r"/user", self._user),
                ("GET", "api", r"/executions/?", self._list),
                ("POST", "api", r"/executions/?", self._post),
                ("GET", "api", r"/executions/([^/]+)", self._get),
                ("GET", "api", r"/executions/([^/]+)/children", self._children),
                ("GET", "api", r"/executions/([^/]+)/result", self._result),
                ("GET", "api", r"/executions/([^/]+)/output", self._output),
                ("GET", "api", r"/executions/([^/]+/attribute/[^/]+)", self._attribute),
                ("POST", "api", r"/executions/([^/]+)/re_run", self._rerun),
                ("DELETE", "api", r"/executions/([^/]+)", self._delete),
                ("PUT", "api", r"/executions/([^/]+)", self._put),
                ("GET", "api", r"/inquiries/?", self._inquiries),
                ("GET", "api", r"/inquiries/([^/]+)", self._inquiry),
                ("PUT", "api", r"/inquiries/([^/]+)", self._respond),
                ("GET", "api", r"/traces/?", self._traces),
                ("GET", "api", r"/actions/?", self._actions),
                ("GET", "api", r"/actions/views/overview", self._overviews),
                ("GET", "api", r"/actions/views/overview/([^/]+)", self._overview),
                ("GET", "api", r"/actions/views/parameters/([^/]+)", self._parameters),
                ("GET", "api", r"/actions/([^/]+)", self._action),
                ("GET", "api", r"/packs/?", self._packs),
                ("GET", "api", r"/packs/([^/]+)", self._pack),
                ("GET", "stream", r"/stream", self._stream),
            )
        )

    def answer(self, call: HttpRequest) -> HttpResponse | StreamResponse:
        """Answer a call.

        Raises CutError where the options let the connection break.
        """
        if self._state.options.unavailable:
            service = f"st2{call.service or 'api'}"
            return fault(503, f"Nginx is unable to reach {service}. Make sure service is running.")
        refusal = self._state.refusals.next()
        if refusal is not None and not self._state.options.refusal_after:
            return refusal
        try:
            answer = self._routed(call)
        except FaultError as refused:
            answer = fault(refused.status, refused.faultstring)
        return answer if refusal is None else refusal

    def _routed(self, call: HttpRequest) -> HttpResponse | StreamResponse:
        if call.path == "/" and not call.service and call.method == "GET":
            return HttpResponse(200, {**VERSION, "sandbox": SERVER_BANNER})
        if call.path == "/tokens" and call.service in ("", "auth") and call.method == "POST":
            return self._token(call)
        for method, service, path, handler in self._routes:
            found = path.fullmatch(call.path)
            if found and method == call.method and call.service in ("", service):
                return handler(call, self._caller(call), found[1] if path.groups else "")
        raise FaultError(404, "The resource could not be found.")

    def _caller(self, call: HttpRequest) -> Caller:
        if self._state.options.unauthorized:
            raise unknown_key_error(call.headers.get("st2-api-key", ""))
        return self._state.credentials.check(call.headers, call.query)

    def _version(self, call: HttpRequest, caller: Caller, name: str) -> HttpResponse:
        return HttpResponse(200, VERSION)

    def _user(self, call: HttpRequest, caller: Caller, name: str) -> HttpResponse:
        body = {
            "username": caller.username,
            "authentication": {"method": caller.method, "location": caller.location},
            "rbac": {"enabled": False, "roles": [], "is_admin": True},
        }
        return HttpResponse(200, body)

    def _token(self, call: HttpRequest) -> HttpResponse:
        body = validation.parse_body(call.body, call.headers.get("content-type", ""))
        token, expiry = self._state.credentials.issue_token(
            call.headers.get("authorization", ""), body
        )
        answer = {
            "user": self._state.credentials.username,
            "token": token,
            "expiry": self._state.wall.stamp(expiry),
            "metadata": {},
            "service": False,
            "id": self._state.factory.new_id(),
        }
        return HttpResponse(201, answer, {"X-API-URL": self._state.factory.url})

    def _post(self, call: HttpRequest, caller: Caller, name: str) -> HttpResponse:
        fault = (
            "ghost_rate" if self._state.options.broker_down else self._state.selector.next_fault()
        )
        if fault == "drop_request_rate":
            raise ConnectionCutError
        body = validation.parse_body(call.body, call.headers.get("content-type", ""))
        self._state.request_log.record_post(trace_tag_in(body.get("context")))
        if fault == "error_rate":
            raise FaultError(500, "Internal Server Error")
        request = self._validated(call, caller, body)
        if fault == "ghost_rate":
            self._state.start_execution(request, outcome="requested")
            raise FaultError(500, "[Errno 111] ECONNREFUSED")
        if fault == "drop_answer_rate":
            self._state.start_execution(request, after=self._state.options.land_late_seconds)
            raise ConnectionCutError
        execution = self._state.start_execution(request)
        first = execution.timeline[0]
        return HttpResponse(201, execution.view(first.at, until=first))

    def _rerun(self, call: HttpRequest, caller: Caller, name: str) -> HttpResponse:
        body = validation.parse_body(call.body, call.headers.get("content-type", ""))
        return reruns.answer(self._state, self._execution(name), body, user=caller.username)

    def _validated(
        self, call: HttpRequest, caller: Caller, body: Mapping[str, Any]
    ) -> validation.ExecutionRequest:
        try:
            return validation.validate_request(
                body,
                user=caller.username,
                header_context=call.headers.get("st2-context", ""),
                catalog=self._state.catalog,
                datastore=self._state.options.datastore,
            )
        except FaultError as refused:
            if refused.failed_request is not None:
                self._state.store_failed(refused.failed_request, refused.faultstring)
            raise

    def _list(self, call: HttpRequest, caller: Caller, name: str) -> HttpResponse:
        page = queries.list_executions(self._state.store, call.query)
        return HttpResponse(200, page.rows, page.headers)

    def _get(self, call: HttpRequest, caller: Caller, name: str) -> HttpResponse:
        choose = queries.attribute_filter(call.query)
        largest = queries.parse_integer(call.query, "max_result_size")
        view = self._view(call, name)
        if largest is not None and view.get("result_size", 0) > largest:
            del view["result"]
        return HttpResponse(200, choose(view))

    def _children(self, call: HttpRequest, caller: Caller, name: str) -> HttpResponse:
        execution = self._execution(name)
        choose = queries.attribute_filter(call.query)
        with self._state.store.lock:
            now = self._state.clock()
            views = [choose(one.view(now)) for one in execution.descendants(now)]
        return HttpResponse(200, views)

    def _result(self, call: HttpRequest, caller: Caller, name: str) -> HttpResponse:
        return HttpResponse(200, self._view(call, name).get("result"), content_type="text/json")

    def _output(self, call: HttpRequest, caller: Caller, name: str) -> HttpResponse:
        result = self._view(call, name).get("result")
        stdout = result.get("stdout", "") if isinstance(result, dict) else ""
        text = f"{stdout}\n" if stdout else ""
        return HttpResponse(200, text.encode(), content_type="text/plain; charset=UTF-8")

    def _attribute(self, call: HttpRequest, caller: Caller, name: str) -> HttpResponse:
        execution_id, _, attribute = name.split("/")
        if attribute not in ATTRIBUTES:
            raise FaultError(
                400,
                f'Invalid attribute "{attribute}" specified. Valid attributes are: '
                f"{', '.join(ATTRIBUTES)}",
            )
        return HttpResponse(200, self._view(call, execution_id).get(attribute))

    def _delete(self, call: HttpRequest, caller: Caller, name: str) -> HttpResponse:
        execution = self._execution(name)
        try:
            self._state.cancel(execution, user=caller.username)
        except NotCancelableError as error:
            return fault(200, str(error))  # 200, with a faultstring: as recorded
        if self._state.options.broker_down:
            raise FaultError(500, "Failed canceling execution.")
        return HttpResponse(200, self._view(call, name))

    def _put(self, call: HttpRequest, caller: Caller, name: str) -> HttpResponse:
        execution = self._execution(name)
        body = validation.parse_body(call.body, call.headers.get("content-type", ""))
        wanted = body.get("status")
        with self._state.store.lock:
            status = execution.status(self._state.clock())
        if status in FINAL:
            raise FaultError(400, "Execution is already in completed state.")
        if wanted == "pausing" and not execution.is_workflow:
            raise FaultError(
                400,
                f'Failed updating execution. Unable to pause liveaction "{execution.liveaction_id}"'
                f' because it is not supported by the "{execution.action.runner_name}" runner.',
            )
        if self._inquiry_service.change_status(execution, wanted, username=caller.username):
            return HttpResponse(200, self._view(call, name))
        if wanted != "canceling":
            raise FaultError(
                400, f"sandbox: a status of {wanted!r} is not played, only 'canceling'"
            )
        return self._delete(call, caller, name)

    def _inquiries(self, call: HttpRequest, caller: Caller, name: str) -> HttpResponse:
        page = queries.page_of(self._inquiry_service.list_open(), call.query)
        return HttpResponse(200, page.rows, page.headers)

    def _inquiry(self, call: HttpRequest, caller: Caller, name: str) -> HttpResponse:
        return HttpResponse(200, self._inquiry_service.shown(name))

    def _respond(self, call: HttpRequest, caller: Caller, name: str) -> HttpResponse:
        body = validation.parse_body(call.body, call.headers.get("content-type", ""))
        return HttpResponse(200, self._inquiry_service.answer(name, body, username=caller.username))

    def _traces(self, call: HttpRequest, caller: Caller, name: str) -> HttpResponse:
        store = self._state.store
        with store.lock:
            if "trace_tag" in call.query:
                found = store.with_trace_tag(call.query["trace_tag"])
            elif "execution" in call.query:
                one = store.find(call.query["execution"])
                found = store.with_trace_tag(one.trace_tag) if one and one.trace_tag else []
            else:
                found = [one for one in reversed(store.visible()) if one.trace_tag]
            roots = [one for one in found if one.parent is None and not one.rule_fields]
            reports = [one for one in found if one.rule_fields]
            traces = [_trace(root, reports, self._state.clock()) for root in reversed(roots)]
        page = queries.page_of(traces, call.query, default=queries.DEFAULT_LIMIT)
        return HttpResponse(200, page.rows, page.headers)

    def _actions(self, call: HttpRequest, caller: Caller, name: str) -> HttpResponse:
        page = catalog_queries.actions(self._state.catalog, call.query)
        return HttpResponse(200, page.rows, page.headers)

    def _overviews(self, call: HttpRequest, caller: Caller, name: str) -> HttpResponse:
        # As in StackStorm, ?pack= is ignored here.
        actions = self._state.catalog.actions.values()
        views = [{**one.view, "parameters": one.parameters} for one in actions]
        page = queries.page_of(views, call.query)
        return HttpResponse(200, page.rows, page.headers)

    def _action(self, call: HttpRequest, caller: Caller, name: str) -> HttpResponse:
        return HttpResponse(200, self._find_action(name).view)

    def _overview(self, call: HttpRequest, caller: Caller, name: str) -> HttpResponse:
        action = self._find_action(name)
        return HttpResponse(200, {**action.view, "parameters": action.parameters})

    def _parameters(self, call: HttpRequest, caller: Caller, name: str) -> HttpResponse:
        return HttpResponse(200, {"parameters": self._find_action(name).parameters})

    def _find_action(self, name: str) -> Any:
        action = self._state.catalog.find(name)
        if action is None:
            raise FaultError(404, f'Resource with a reference or id "{name}" not found')
        return action

    def _packs(self, call: HttpRequest, caller: Caller, name: str) -> HttpResponse:
        page = catalog_queries.packs(self._state.catalog, call.query)
        return HttpResponse(200, page.rows, page.headers)

    def _pack(self, call: HttpRequest, caller: Caller, name: str) -> HttpResponse:
        pack = self._state.catalog.packs.get(name)
        if pack is None:
            raise FaultError(404, f'Resource with a ref or id "{name}" not found')
        return HttpResponse(200, pack)

    def _stream(self, call: HttpRequest, caller: Caller, name: str) -> StreamResponse:
        return StreamResponse(call.query)

    def _execution(self, name: str) -> Execution:
        execution = self._state.store.find(name)
        if execution is None:
            raise FaultError(404, f'Unable to identify resource with id "{name}".')
        return execution

    def _view(self, call: HttpRequest, name: str) -> dict[str, Any]:
        execution = self._execution(name)
        with self._state.store.lock:
            show_secrets = call.query.get("show_secrets") == "true"
            return execution.view(self._state.clock(), show_secrets=show_secrets)


def _trace(root: Execution, reports: Sequence[Execution], now: float) -> dict[str, Any]:
    """Return the trace that a POST began: its execution, its tasks and its rules' executions."""
    # A trace is not kept by itself: its id has to come out the same every time.
    trace_id = callback_rule.trace_id(root)
    mine = [one for one in reports if one.context["trace_context"]["id_"] == trace_id]
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
            for one in (root, *root.descendants(now), *mine)
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
