"""The inquiry endpoints, with StackStorm's checks and errors (recordings: inquiry-*)."""

from collections.abc import Mapping
from typing import Any

from . import inquiry_timeline
from .executions import Execution
from .planner import Planner
from .state import SandboxState
from .validation import TYPES, FaultError


class Inquiries:
    """Lists the open inquiries and takes responses to them."""

    def __init__(self, state: SandboxState) -> None:
        self._state = state

    def list_open(self) -> list[dict[str, Any]]:
        """Return the open inquiries, newest first."""
        with self._state.store.lock:
            now = self._state.clock()
            found = self._state.store.visible()
            return [_view(one, now) for one in found if _is_open(one, now)]

    def get_open(self, execution_id: str) -> dict[str, Any]:
        """Return an open inquiry.

        Raises FaultError.
        """
        with self._state.store.lock:
            return _view(self._find_open(execution_id), self._state.clock())

    def respond(
        self, execution_id: str, body: Mapping[str, Any], *, username: str
    ) -> dict[str, Any]:
        """Respond to an inquiry; its workflow continues.

        Raises FaultError.
        """
        if "response" not in body:
            raise FaultError(400, "'response' is a required property")
        with self._state.store.lock:
            now = self._state.clock()
            inquiry = self._find_open(execution_id)
            view = _view(inquiry, now)
            _check_user(view, username)
            _check_response(view, body["response"])
            changed = [inquiry, *_ancestors(inquiry)]
            before = {id(change) for one in changed for change in one.timeline}
            inquiry_timeline.respond(inquiry, body["response"], now)
            started = self._resume(inquiry.parent, now, by=username)
            self._state.store.add(started)
            new_changes = {
                one: [change for change in one.timeline if id(change) not in before]
                for one in [*changed, *started]
            }
        for execution, changes in new_changes.items():
            self._state.dispatcher.schedule(execution, changes)
        return {"id": execution_id, "response": body["response"]}

    def change_status(self, execution: Execution, wanted: object, *, username: str) -> bool:
        """Apply a change of status that concerns an inquiry; return whether it does.

        Raises FaultError.
        """
        with self._state.store.lock:
            now = self._state.clock()
            status = execution.status(now)
            if status == "pending":
                raise FaultError(500, "Failed updating execution due to unexpected error.")
            if wanted == "resuming" and status in ("paused", "resuming"):
                before = execution.timeline
                inquiry_timeline.resume_while_open(execution, now, user=username)
                added = [one for one in execution.timeline if one not in before]
            elif wanted == "pausing" and status == "resuming":
                raise FaultError(
                    400,
                    "Failed updating execution. Unable to pause liveaction"
                    f' "{execution.liveaction_id}" because it is not in a running state.',
                )
            else:
                return False
        self._state.dispatcher.schedule(execution, added)
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

    def _find_open(self, execution_id: str) -> Execution:
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
    result = inquiry.past_changes(now)[-1].result
    fields = result if isinstance(result, dict) else {}
    defaults = {"route": "", "ttl": 1440, "users": [], "roles": [], "schema": {}}
    return {"id": inquiry.id, **defaults, **fields}


def _ancestors(execution: Execution) -> list[Execution]:
    parent = execution.parent
    return [parent, *_ancestors(parent)] if parent else []


def _check_user(inquiry: Mapping[str, Any], username: str) -> None:
    if inquiry["users"] and username not in inquiry["users"]:
        user = f'UserDB(id={inquiry["id"]}, is_service=False, name="{username}", nicknames={{}})'
        raise FaultError(
            403,
            f'User "{user}" does not have permission to respond to inquiry "{inquiry["id"]}".',
        )


def _check_response(inquiry: Mapping[str, Any], response: object) -> None:
    error = _error_in(inquiry["schema"].get("properties", {}), response)
    if error:
        raise FaultError(
            400,
            f'Response for inquiry "{inquiry["id"]}" did not pass schema validation. {error}',
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
