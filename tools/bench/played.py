"""The executions of the bench's stub: what it says of each at any moment, by the clock alone.

What StackStorm says of its actions and runners is taken from the recordings.
"""

import json
import os
import re
import time
from bisect import bisect_right
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from tests.paths import CONTRACTS

RECORDINGS = CONTRACTS / "stackstorm"
FINGERPRINT = re.compile(r"[0-9a-f]{16}")
# How far into its duration an execution gets these words.
TIMELINE = ((0.0, "requested"), (0.05, "scheduled"), (0.1, "running"), (1.0, "succeeded"))
FINAL = {"succeeded", "canceled"}
CANCEL_SECONDS = 0.1  # from canceling to canceled
# What is stored of an execution and can be asked for with include_attributes.
STORED = {
    *("action", "runner", "liveaction", "status", "start_timestamp", "end_timestamp"),
    *("parameters", "result", "result_size", "context", "log", "web_url", "id", "children"),
    *("parent", "rule", "trigger", "trigger_instance", "trigger_type", "delay"),
}
STATE = {"id", "status", "start_timestamp", "end_timestamp", "result", "context"}
SUCCEEDED = {
    "failed": False,
    "succeeded": True,
    "return_code": 0,
    "stdout": "This is a stub: nothing was repaired.",
    "stderr": "",
}
CANCELED = {"message": "Action canceled by user.", "user": "st2admin"}

# Monotonic time is what the processes of a machine share; StackStorm tells wall clock time.
_WALL = time.time() - time.monotonic()


def recorded(name: str) -> Any:
    """Return the body of a recorded answer."""
    return json.loads((RECORDINGS / f"{name}.json").read_text())["response"]["body"]


def new_id() -> str:
    """Return an id as MongoDB makes them."""
    return os.urandom(12).hex()


def moment(at: float) -> datetime:
    """Return the wall clock's time of a monotonic one."""
    return datetime.fromtimestamp(at + _WALL, UTC)


def stamp(at: float) -> str:
    """Return a time as StackStorm writes it."""
    return moment(at).isoformat(timespec="microseconds").replace("+00:00", "Z")


class KnownAction:
    """An action that is registered, as the recordings show core.local.

    ``head``: the beginning of the JSON of each of its executions, which never changes.
    """

    _local = recorded("post-execution-201")
    _overview = recorded("get-action-overview-core-local")
    hosts = {"type": "string", "required": True, "description": "The host to repair."}

    def __init__(self, ref: str, parameters: dict[str, Any] | None = None) -> None:
        pack, _, name = ref.partition(".")
        named: dict[str, Any] = {"ref": ref, "pack": pack, "name": name, "id": new_id()}
        named["uid"] = f"action:{pack}:{name}"
        action = self._local["action"] | named
        self.overview = self._overview | named
        if parameters is not None:
            action["parameters"] = parameters
            runners = {
                name: schema
                for name, schema in self._overview["parameters"].items()
                if name in self._local["runner"]["runner_parameters"] and name != "cmd"
            }
            self.overview["parameters"] = runners | parameters
        self.ref, self.pack, self.runner = ref, pack, self._local["runner"]["name"]
        parts = {"action": action, "runner": self._local["runner"]}
        self.head = json.dumps(parts).encode()[:-1]
        self.parts = parts


@dataclass(slots=True, eq=False)
class Execution:
    """One execution, which runs by itself. ``moments``: when it gets which word, by the clock."""

    action: KnownAction
    parameters: dict[str, Any]
    context: dict[str, Any]
    notify: dict[str, Any]
    began: float
    moments: list[tuple[float, str]]
    id: str = field(default_factory=new_id)
    liveaction_id: str = field(default_factory=new_id)

    @property
    def ends(self) -> float:
        """When it is final, by the clock that all processes of a machine share."""
        return self.moments[-1][0]

    @property
    def trace_tag(self) -> str:
        """The tag that whoever launched it gave it."""
        trace = self.context.get("trace_context")
        return str(trace.get("trace_tag", "")) if isinstance(trace, dict) else ""

    @property
    def fingerprint(self) -> str:
        """The fingerprint of the alert that it is for, which the bench hides in ``hosts``."""
        found = FINGERPRINT.search(str(self.parameters.get("hosts", "")))
        return found[0] if found else ""

    def words(self, now: float) -> list[tuple[float, str]]:
        """Return what it has gone through until now."""
        return self.moments[: bisect_right(self.moments, now, key=lambda entry: entry[0])]

    def status(self, now: float) -> str:
        """Return the word for how it is."""
        return self.words(now)[-1][1]

    def cancel(self, now: float) -> bool:
        """Cancel it; return False if it has ended already."""
        so_far = self.words(now)
        word = so_far[-1][1]
        if word in FINAL:
            return False
        if not word.startswith("cancel"):
            self.context = self.context | {"cancelled_by": "st2admin"}
            is_running = word == "running"
            then = [(now, "canceling"), (now + CANCEL_SECONDS, "canceled")]
            self.moments = so_far + (then if is_running else [(now, "canceled")])
        return True

    def shown(self, now: float) -> dict[str, Any]:
        """Return all but action and runner; keys without a value are left out."""
        words = self.words(now)
        has_run = any(word == "running" for _, word in words)
        liveaction: dict[str, Any] = {
            "action": self.action.ref,
            "action_is_workflow": False,
            "parameters": self.parameters,
            "callback": {},
            "runner_info": {"hostname": "stub", "pid": 1} if has_run else {},
            "id": self.liveaction_id,
        }
        if self.notify:
            liveaction["notify"] = self.notify
        view = self._state(words) | {
            "liveaction": liveaction,
            "log": [{"timestamp": stamp(at), "status": word} for at, word in words],
            "web_url": f"https://localhost/#/history/{self.id}/general",
        }
        if self.parameters:
            view["parameters"] = self.parameters
        if "elapsed_seconds" in view and has_run:
            view["result_size"] = len(json.dumps(view["result"]))
        return view

    def whole(self, now: float) -> bytes:
        """Return all of it as JSON."""
        return self.action.head + b"," + json.dumps(self.shown(now)).encode()[1:]

    def chosen(self, now: float, attributes: set[str]) -> dict[str, Any]:
        """Return these attributes of it and its id."""
        # Nearly all questions are about the state, so they do not pay for the rest.
        if attributes <= STATE:
            view = self._state(self.words(now))
        else:
            view = self.action.parts | self.shown(now)
        return {name: value for name, value in view.items() if name in attributes or name == "id"}

    def _state(self, words: list[tuple[float, str]]) -> dict[str, Any]:
        status = words[-1][1]
        state: dict[str, Any] = {
            "status": status,
            "start_timestamp": stamp(self.began),
            "context": self.context,
            "id": self.id,
        }
        if status.startswith("cancel"):
            state["result"] = CANCELED
        if status == "succeeded":
            state["result"] = SUCCEEDED
        if status in FINAL:
            state["end_timestamp"] = stamp(self.ends)
            state["elapsed_seconds"] = round(self.ends - self.began, 6)
        return state


class Executions:
    """All executions since the last reset, oldest first, with what is known of them."""

    def __init__(self, *, duration: float) -> None:
        self.duration = duration
        self.actions = {"core.local": KnownAction("core.local")}
        for number in (1, 2, 3):
            ref = f"bench.step{number}"
            self.actions[ref] = KnownAction(ref, {"hosts": KnownAction.hosts})
        self.forget()

    def forget(self) -> None:
        """Forget all."""
        self.by_id: dict[str, Execution] = {}
        self.by_tag: dict[str, list[Execution]] = defaultdict(list)

    def begin(self, action: KnownAction, body: dict[str, Any], *, at: float) -> Execution:
        """Start one."""
        context = body.get("context") or {}
        execution = Execution(
            action=action,
            parameters=body.get("parameters") or {},
            context=context | {"user": "st2admin", "pack": action.pack},
            notify=body.get("notify") or {},
            began=at,
            moments=[(at + share * self.duration, word) for share, word in TIMELINE],
        )
        self.by_id[execution.id] = execution
        self.by_tag[execution.trace_tag].append(execution)
        return execution

    def report(self) -> list[dict[str, Any]]:
        """Return for whom each was started, and when it began and ends by the monotonic clock."""
        return [
            {
                "id": execution.id,
                "ref": execution.action.ref,
                "trace_tag": execution.trace_tag,
                "fingerprint": execution.fingerprint,
                "began": execution.began,
                "ended": execution.ends,
            }
            for execution in self.by_id.values()
        ]
