"""The rule of PoundCake's pack: the execution of its own that every callback is in StackStorm.

It inherits the trace tag of the execution that it reports, has no parent, and may fail when the
client refuses it (callback-execution-core-http, callback-refused-execution-core-http).
"""

import json
from collections.abc import Callable, Mapping
from hashlib import md5
from typing import Any

from .catalog import Action, Catalog
from .dispatcher import EventDispatcher
from .executions import Execution
from .options import SandboxOptions
from .planner import ExecutionFactory
from .store import Store
from .timeline import FINAL, StatusChange
from .validation import ExecutionRequest

ACTION = "core.http"
USER = "stanley"  # StackStorm's own
USERNAME = "stackstorm"  # beside the token, which is the password
NAME = "notify_poundcake"
TRIGGER = "core.st2.generic.notifytrigger"
_SHARES = (("scheduled", 0.1), ("running", 0.2))  # of the duration that the options name


def trace_id(execution: Execution) -> str:
    """Return the id of the trace that the POST of an execution began."""
    return md5(execution.id.encode(), usedforsecurity=False).hexdigest()[:24]


class CallbackRule:
    """The rule, as it is installed in a sandbox."""

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

    def begin(
        self, original: Execution, body: Mapping[str, Any], options: SandboxOptions
    ) -> Execution | None:
        """Start the execution that reports the end of another; None without the pack ``core``."""
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
        made = self._factory.new_execution(request, (StatusChange(at, "requested"), *later))
        made.rule_fields = {
            "trigger": _trigger(),
            "trigger_type": _trigger() | {"payload_schema": {}, "parameters_schema": {}},
            "trigger_instance": instance,
            "rule": _rule(options.callback_url),
        }
        self._store.add([made])
        self._dispatcher.schedule(made, made.timeline)
        return made

    def finish(self, made: Execution, status: str, result: Mapping[str, Any]) -> None:
        """End such an execution as its call ended, unless somebody canceled it."""
        with self._store.lock:
            last = made.timeline[-1]
            if last.status in FINAL or last.status == "canceling":
                return
            at = max(self._store.clock(), last.at)
            made.timeline = (*made.timeline, StatusChange(at, status, result, sets_size=True))
        self._dispatcher.schedule(made, made.timeline[-1:])


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
        "password": "the token",  # masked wherever it is shown
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
