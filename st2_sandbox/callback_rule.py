"""The rule of PoundCake's StackStorm pack. StackStorm runs each callback as a core.http execution.

That execution inherits the trace tag of the execution it reports, has no parent, and fails when the
client rejects the callback. Recordings: callback-execution-core-http,
callback-refused-execution-core-http.
"""

import json
from collections.abc import Callable, Mapping
from hashlib import md5
from typing import Any

from .catalog import Action, Catalog
from .dispatcher import EventDispatcher
from .execution_factory import ExecutionFactory
from .executions import Execution
from .options import SandboxOptions
from .store import Store
from .timeline import FINAL, StatusChange
from .validation import ExecutionRequest

ACTION = "core.http"
USER = "stanley"  # StackStorm's system user
USERNAME = "stackstorm"  # for basic auth; the password is the token
NAME = "notify_poundcake"
TRIGGER = "core.st2.generic.notifytrigger"
_SHARES = (("scheduled", 0.1), ("running", 0.2))  # of duration_seconds


def trace_id(execution: Execution) -> str:
    """Return the trace id of an execution, derived from its id."""
    return md5(execution.id.encode(), usedforsecurity=False).hexdigest()[:24]


class CallbackRule:
    """Creates and ends the executions of the rule."""

    def __init__(
        self,
        factory: ExecutionFactory,
        store: Store,
        dispatcher: EventDispatcher,
        catalog: Callable[[], Catalog],
    ):
        self._factory = factory
        self._store = store
        self._dispatcher = dispatcher
        self._catalog = catalog

    def start(
        self, original: Execution, body: Mapping[str, Any], options: SandboxOptions
    ) -> Execution | None:
        """Start the execution that sends the callback; None without the pack ``core``."""
        action = self._catalog().find(ACTION)
        if action is None:
            return None
        at = self._store.clock()
        instance = {
            "trigger": TRIGGER,
            "occurrence_time": original.wall.stamp(at),
            "status": "processing",
            "id": self._factory.new_id(),
            "payload": dict(body),
        }
        later = [
            StatusChange(at + share * options.duration_seconds, name) for name, share in _SHARES
        ]
        request = _request(action, original, body, options.callback_url, instance)
        execution = self._factory.new_execution(request, (StatusChange(at, "requested"), *later))
        execution.rule_fields = {
            "trigger": _trigger(),
            "trigger_type": _trigger() | {"payload_schema": {}, "parameters_schema": {}},
            "trigger_instance": instance,
            "rule": _rule(options.callback_url),
        }
        self._store.add([execution])
        self._dispatcher.schedule(execution, execution.timeline)
        return execution

    def finish(self, execution: Execution, status: str, result: Mapping[str, Any]) -> None:
        """End the execution with the result of its HTTP request, unless it was canceled."""
        with self._store.lock:
            last = execution.timeline[-1]
            if last.status in FINAL or last.status == "canceling":
                return
            at = max(self._store.clock(), last.at)
            execution.timeline = (
                *execution.timeline,
                StatusChange(at, status, result, sets_size=True),
            )
        self._dispatcher.schedule(execution, execution.timeline[-1:])


def _request(
    action: Action,
    original: Execution,
    body: Mapping[str, Any],
    url: str,
    instance: Mapping[str, Any],
) -> ExecutionRequest:
    trace = {"id_": trace_id(original)}
    if original.trace_tag:
        trace["trace_tag"] = original.trace_tag
    context = {
        "trigger_instance": {"id": instance["id"], "name": None},
        "rule": {"id": _id("rule"), "name": NAME},
        "user": USER,
        "pack": "core",
        "trace_context": trace,
    }
    parameters = {
        "url": url,
        "method": "POST",
        "headers": {"Content-Type": "application/json"},
        "username": USERNAME,
        "password": "the token",  # a secret parameter: views mask it
        "timeout": 10.0,
        "body": json.dumps(body),
    }
    return ExecutionRequest(action, parameters, context)


def _trigger() -> dict[str, Any]:
    return {
        "uid": f"trigger:core:{TRIGGER.removeprefix('core.')}",
        "ref": TRIGGER,
        "name": TRIGGER.removeprefix("core."),
        "pack": "core",
        "type": TRIGGER,
        "parameters": {},
        "id": _id("trigger"),
    }


def _rule(url: str) -> dict[str, Any]:
    return {
        "uid": f"rule:poundcake:{NAME}",
        "metadata_file": f"rules/{NAME}.yaml",
        "name": NAME,
        "ref": f"poundcake.{NAME}",
        "pack": "poundcake",
        "type": {"ref": "standard", "parameters": {}},
        "trigger": {"type": TRIGGER, "parameters": {}, "ref": TRIGGER},
        "criteria": {"trigger.route": {"type": "equals", "pattern": "poundcake"}},
        "action": {"ref": ACTION, "parameters": {"url": url, "method": "POST"}},
        "context": {},
        "enabled": True,
        "id": _id("rule"),
    }


def _id(name: str) -> str:
    return md5(f"{name}:{NAME}".encode(), usedforsecurity=False).hexdigest()[:24]
