"""StackStorm's endpoints, as far as a client of its executions calls them."""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from . import listings, queries, reruns, rules, validation
from .credentials import Caller, unknown_key
from .executions import Execution, NotCancelableError, trace_tag_in
from .inquiries import Inquiries
from .messages import BANNER, Answer, Call, CutError, Subscription, faultstring
from .timeline import FINAL
from .validation import RefusedError
from .world import World

VERSION = {"version": "3.10dev", "docs_url": "http://docs.stackstorm.com/latest"}
ATTRIBUTES = ("result", "trigger_instance", "status")

Handler = Callable[[Call, Caller, str], Answer | Subscription]


class Api:
    """Answers calls from a world."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._asked = Inquiries(world)
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

    def answer(self, call: Call) -> Answer | Subscription:
        """Answer a call.

        Raises CutError where the options let the connection break.
        """
        if self._world.options.unavailable:
            service = f"st2{call.service or 'api'}"
            return faultstring(
                503, f"Nginx is unable to reach {service}. Make sure service is running."
            )
        refusal = self._world.refusals.next()
        if refusal is not None and not self._world.options.refusal_after:
            return refusal
        try:
            answer = self._routed(call)
        except RefusedError as refused:
            answer = faultstring(refused.status, refused.faultstring)
        return answer if refusal is None else refusal

    def _routed(self, call: Call) -> Answer | Subscription:
        if call.path == "/" and not call.service and call.method == "GET":
            return Answer(200, {**VERSION, "sandbox": BANNER})
        if call.path == "/tokens" and call.service in ("", "auth") and call.method == "POST":
            return self._token(call)
        for method, service, path, handler in self._routes:
            found = path.fullmatch(call.path)
            if found and method == call.method and call.service in ("", service):
                return handler(call, self._caller(call), found[1] if path.groups else "")
        raise RefusedError(404, "The resource could not be found.")

    def _caller(self, call: Call) -> Caller:
        if self._world.options.unauthorized:
            raise unknown_key(call.headers.get("st2-api-key", ""))
        return self._world.credentials.check(call.headers, call.query)

    def _version(self, call: Call, caller: Caller, name: str) -> Answer:
        return Answer(200, VERSION)

    def _user(self, call: Call, caller: Caller, name: str) -> Answer:
        body = {
            "username": caller.username,
            "authentication": {"method": caller.method, "location": caller.location},
            "rbac": {"enabled": False, "roles": [], "is_admin": True},
        }
        return Answer(200, body)

    def _token(self, call: Call) -> Answer:
        body = validation.parse(call.body, call.headers.get("content-type", ""))
        token, expiry = self._world.credentials.buy_token(
            call.headers.get("authorization", ""), body
        )
        answer = {
            "user": self._world.credentials.username,
            "token": token,
            "expiry": self._world.wall.stamp(expiry),
            "metadata": {},
            "service": False,
            "id": self._world.mint.new_id(),
        }
        return Answer(201, answer, {"X-API-URL": self._world.mint.url})

    def _post(self, call: Call, caller: Caller, name: str) -> Answer:
        fault = "ghost_rate" if self._world.options.broker_down else self._world.choices.fault()
        if fault == "drop_request_rate":
            raise CutError
        body = validation.parse(call.body, call.headers.get("content-type", ""))
        self._world.journal.note_post(trace_tag_in(body.get("context")))
        if fault == "error_rate":
            raise RefusedError(500, "Internal Server Error")
        request = self._judged(call, caller, body)
        if fault == "ghost_rate":
            self._world.start_execution(request, outcome="requested")
            raise RefusedError(500, "[Errno 111] ECONNREFUSED")
        if fault == "drop_answer_rate":
            self._world.start_execution(request, after=self._world.options.land_late_seconds)
            raise CutError
        execution = self._world.start_execution(request)
        first = execution.moments[0]
        return Answer(201, execution.view(first.at, until=first))

    def _rerun(self, call: Call, caller: Caller, name: str) -> Answer:
        body = validation.parse(call.body, call.headers.get("content-type", ""))
        return reruns.answer(self._world, self._execution(name), body, user=caller.username)

    def _judged(self, call: Call, caller: Caller, body: Mapping[str, Any]) -> validation.Request:
        try:
            return validation.judge(
                body,
                user=caller.username,
                header_context=call.headers.get("st2-context", ""),
                catalogue=self._world.catalogue,
                datastore=self._world.options.datastore,
            )
        except RefusedError as refused:
            if refused.leaves is not None:
                self._world.leave_failed(refused.leaves, refused.faultstring)
            raise

    def _list(self, call: Call, caller: Caller, name: str) -> Answer:
        page = queries.list_executions(self._world.store, call.query)
        return Answer(200, page.rows, page.headers)

    def _get(self, call: Call, caller: Caller, name: str) -> Answer:
        choose = queries.attributes(call.query)
        largest = queries.integer(call.query, "max_result_size")
        view = self._view(call, name)
        if largest is not None and view.get("result_size", 0) > largest:
            del view["result"]
        return Answer(200, choose(view))

    def _children(self, call: Call, caller: Caller, name: str) -> Answer:
        execution = self._execution(name)
        choose = queries.attributes(call.query)
        with self._world.store.lock:
            now = self._world.clock()
            views = [choose(one.view(now)) for one in execution.descendants(now)]
        return Answer(200, views)

    def _result(self, call: Call, caller: Caller, name: str) -> Answer:
        return Answer(200, self._view(call, name).get("result"), content_type="text/json")

    def _output(self, call: Call, caller: Caller, name: str) -> Answer:
        result = self._view(call, name).get("result")
        stdout = result.get("stdout", "") if isinstance(result, dict) else ""
        text = f"{stdout}\n" if stdout else ""
        return Answer(200, text.encode(), content_type="text/plain; charset=UTF-8")

    def _attribute(self, call: Call, caller: Caller, name: str) -> Answer:
        execution_id, _, attribute = name.split("/")
        if attribute not in ATTRIBUTES:
            raise RefusedError(
                400,
                f'Invalid attribute "{attribute}" specified. Valid attributes are: '
                f"{', '.join(ATTRIBUTES)}",
            )
        return Answer(200, self._view(call, execution_id).get(attribute))

    def _delete(self, call: Call, caller: Caller, name: str) -> Answer:
        execution = self._execution(name)
        try:
            self._world.cancel(execution, user=caller.username)
        except NotCancelableError as error:
            return faultstring(200, str(error))  # 200, with a faultstring: as recorded
        if self._world.options.broker_down:
            raise RefusedError(500, "Failed canceling execution.")
        return Answer(200, self._view(call, name))

    def _put(self, call: Call, caller: Caller, name: str) -> Answer:
        execution = self._execution(name)
        body = validation.parse(call.body, call.headers.get("content-type", ""))
        wanted = body.get("status")
        with self._world.store.lock:
            status = execution.status(self._world.clock())
        if status in FINAL:
            raise RefusedError(400, "Execution is already in completed state.")
        if wanted == "pausing" and not execution.is_workflow:
            raise RefusedError(
                400,
                f'Failed updating execution. Unable to pause liveaction "{execution.liveaction_id}"'
                f' because it is not supported by the "{execution.action.runner_name}" runner.',
            )
        if self._asked.change_status(execution, wanted, username=caller.username):
            return Answer(200, self._view(call, name))
        if wanted != "canceling":
            raise RefusedError(
                400, f"sandbox: a status of {wanted!r} is not played, only 'canceling'"
            )
        return self._delete(call, caller, name)

    def _inquiries(self, call: Call, caller: Caller, name: str) -> Answer:
        page = queries.page_of(self._asked.open_ones(), call.query)
        return Answer(200, page.rows, page.headers)

    def _inquiry(self, call: Call, caller: Caller, name: str) -> Answer:
        return Answer(200, self._asked.shown(name))

    def _respond(self, call: Call, caller: Caller, name: str) -> Answer:
        body = validation.parse(call.body, call.headers.get("content-type", ""))
        return Answer(200, self._asked.answer(name, body, username=caller.username))

    def _traces(self, call: Call, caller: Caller, name: str) -> Answer:
        store = self._world.store
        with store.lock:
            if "trace_tag" in call.query:
                found = store.tagged(call.query["trace_tag"])
            elif "execution" in call.query:
                one = store.find(call.query["execution"])
                found = store.tagged(one.trace_tag) if one and one.trace_tag else []
            else:
                found = [one for one in reversed(store.visible()) if one.trace_tag]
            roots = [one for one in found if one.parent is None and not one.of_rule]
            reports = [one for one in found if one.of_rule]
            traces = [_trace(root, reports, self._world.clock()) for root in reversed(roots)]
        page = queries.page_of(traces, call.query, default=queries.DEFAULT_LIMIT)
        return Answer(200, page.rows, page.headers)

    def _actions(self, call: Call, caller: Caller, name: str) -> Answer:
        page = listings.actions(self._world.catalogue, call.query)
        return Answer(200, page.rows, page.headers)

    def _overviews(self, call: Call, caller: Caller, name: str) -> Answer:
        # As in StackStorm, ?pack= is ignored here.
        actions = self._world.catalogue.actions.values()
        views = [{**one.view, "parameters": one.parameters} for one in actions]
        page = queries.page_of(views, call.query)
        return Answer(200, page.rows, page.headers)

    def _action(self, call: Call, caller: Caller, name: str) -> Answer:
        return Answer(200, self._catalogued(name).view)

    def _overview(self, call: Call, caller: Caller, name: str) -> Answer:
        action = self._catalogued(name)
        return Answer(200, {**action.view, "parameters": action.parameters})

    def _parameters(self, call: Call, caller: Caller, name: str) -> Answer:
        return Answer(200, {"parameters": self._catalogued(name).parameters})

    def _catalogued(self, name: str) -> Any:
        action = self._world.catalogue.find(name)
        if action is None:
            raise RefusedError(404, f'Resource with a reference or id "{name}" not found')
        return action

    def _packs(self, call: Call, caller: Caller, name: str) -> Answer:
        page = listings.packs(self._world.catalogue, call.query)
        return Answer(200, page.rows, page.headers)

    def _pack(self, call: Call, caller: Caller, name: str) -> Answer:
        pack = self._world.catalogue.packs.get(name)
        if pack is None:
            raise RefusedError(404, f'Resource with a ref or id "{name}" not found')
        return Answer(200, pack)

    def _stream(self, call: Call, caller: Caller, name: str) -> Subscription:
        return Subscription(call.query)

    def _execution(self, name: str) -> Execution:
        execution = self._world.store.find(name)
        if execution is None:
            raise RefusedError(404, f'Unable to identify resource with id "{name}".')
        return execution

    def _view(self, call: Call, name: str) -> dict[str, Any]:
        execution = self._execution(name)
        with self._world.store.lock:
            show_secrets = call.query.get("show_secrets") == "true"
            return execution.view(self._world.clock(), show_secrets=show_secrets)


def _trace(root: Execution, reports: Sequence[Execution], now: float) -> dict[str, Any]:
    """Return the trace that a POST began: its execution, its tasks and its rules' executions."""
    # A trace is not kept by itself: its id has to come out the same every time.
    trace_id = rules.trace_id(root)
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
    if execution.of_rule:
        rule, instance = execution.of_rule["rule"], execution.of_rule["trigger_instance"]
        return {"type": "rule", "id": f"{rule['id']}:{instance['id']}"}
    if execution.parent:
        return {"type": "action_execution", "id": execution.parent.id}
    return {}
