"""Show inquiries, take answers to them, and refuse as StackStorm does (recorded: inquiry-*)."""

from collections.abc import Mapping
from typing import Any

from . import inquiry_timeline
from .executions import Execution
from .planner import Planner
from .state import SandboxState
from .validation import TYPES, FaultError


class Inquiries:
    """The inquiries of a world."""

    def __init__(self, state: SandboxState) -> None:
        self._state = state

    def list_open(self) -> list[dict[str, Any]]:
        """Return all open inquiries, the newest first."""
        with self._state.store.lock:
            now = self._state.clock()
            found = self._state.store.visible()
            return [_view(one, now) for one in found if _is_open(one, now)]

    def shown(self, execution_id: str) -> dict[str, Any]:
        """Return an open inquiry.

        Raises RefusedError.
        """
        with self._state.store.lock:
            return _view(self._open(execution_id), self._state.clock())

    def answer(
        self, execution_id: str, body: Mapping[str, Any], *, username: str
    ) -> dict[str, Any]:
        """Take the answer to an inquiry; its workflow goes on.

        Raises RefusedError.
        """
        if "response" not in body:
            raise FaultError(400, "'response' is a required property")
        with self._state.store.lock:
            now = self._state.clock()
            inquiry = self._open(execution_id)
            question = _view(inquiry, now)
            _check_user(question, username)
            _check_response(question, body["response"])
            changed = [inquiry, *_above(inquiry)]
            before = {id(change) for one in changed for change in one.timeline}
            inquiry_timeline.respond(inquiry, body["response"], now)
            begun = self._resume(inquiry.parent, now, by=username)
            self._state.store.add(begun)
            told = {
                one: [change for change in one.timeline if id(change) not in before]
                for one in [*changed, *begun]
            }
        for execution, changes in told.items():
            self._state.dispatcher.schedule(execution, changes)
        return {"id": execution_id, "response": body["response"]}

    def change_status(self, execution: Execution, wanted: object, *, username: str) -> bool:
        """Play a change of status that has to do with an inquiry; return whether it has.

        Raises RefusedError.
        """
        with self._state.store.lock:
            now = self._state.clock()
            status = execution.status(now)
            if status == "pending":
                raise FaultError(500, "Failed updating execution due to unexpected error.")
            if wanted == "resuming" and status in ("paused", "resuming"):
                before = execution.timeline
                inquiry_timeline.resume_while_open(execution, now, user=username)
                begun = [one for one in execution.timeline if one not in before]
            elif wanted == "pausing" and status == "resuming":
                raise FaultError(
                    400,
                    "Failed updating execution. Unable to pause liveaction"
                    f' "{execution.liveaction_id}" because it is not in a running state.',
                )
            else:
                return False
        self._state.dispatcher.schedule(execution, begun)
        return True

    def _resume(self, workflow: Execution | None, now: float, *, by: str) -> list[Execution]:
        if workflow is None:
            return []
        options = self._state.options
        planner = Planner(
            self._state.factory,
            self._state.catalog,
            options.datastore,
            self._state.selector.outcome_of,
        )
        return planner.resume(workflow, now, by=by)

    def _open(self, execution_id: str) -> Execution:
        found = self._state.store.find(execution_id)
        if found is None:
            raise FaultError(404, "The resource could not be found.")
        if found.action.runner_name != inquiry_timeline.RUNNER:
            raise FaultError(400, f'Action execution "{execution_id}" is not an inquiry.')
        status = found.status(self._state.clock())
        if status == "timeout":
            text = "timed out and cannot be responded to."
            raise FaultError(400, f'Inquiry "{execution_id}" {text}')
        if status != "pending":
            text = "has already been responded to."
            raise FaultError(400, f'Inquiry "{execution_id}" {text}')
        return found


def _is_open(execution: Execution, now: float) -> bool:
    return (
        execution.action.runner_name == inquiry_timeline.RUNNER
        and execution.status(now) == "pending"
    )


def _view(inquiry: Execution, now: float) -> dict[str, Any]:
    result = inquiry.passed(now)[-1].result
    question = result if isinstance(result, dict) else {}
    empty = {"route": "", "ttl": 1440, "users": [], "roles": [], "schema": {}}
    return {"id": inquiry.id, **empty, **question}


def _above(execution: Execution) -> list[Execution]:
    parent = execution.parent
    return [parent, *_above(parent)] if parent else []


def _check_user(question: Mapping[str, Any], username: str) -> None:
    if question["users"] and username not in question["users"]:
        user = f'UserDB(id={question["id"]}, is_service=False, name="{username}", nicknames={{}})'
        raise FaultError(
            403,
            f'User "{user}" does not have permission to respond to inquiry "{question["id"]}".',
        )


def _check_response(question: Mapping[str, Any], response: object) -> None:
    error = _error_in(question["schema"].get("properties", {}), response)
    if error:
        raise FaultError(
            400,
            f'Response for inquiry "{question["id"]}" did not pass schema validation. {error}',
        )


def _error_in(properties: Mapping[str, Mapping[str, Any]], response: object) -> str:
    if not isinstance(response, dict):
        return f"{response!r} is not of type 'object'"
    for name, schema in properties.items():
        if name not in response:
            if schema.get("required"):
                return f"{name!r} is a required property"
            continue
        value, kind = response[name], schema.get("type", "")
        is_bool = isinstance(value, bool)
        if kind in TYPES and (not isinstance(value, TYPES[kind]) or is_bool != (kind == "boolean")):
            return f"{value!r} is not of type {kind!r}"
        if "enum" in schema and value not in schema["enum"]:
            return f"{value!r} is not one of {schema['enum']!r}"
    return ""
