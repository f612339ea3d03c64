"""The recorded exchanges with a real StackStorm, and how to bring a sandbox to where they began."""

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any
from urllib.parse import urlsplit

from tests.paths import CONTRACTS

from .client import Client

STACKSTORM_CONTRACTS = CONTRACTS / "stackstorm"
OBJECT_ID = re.compile(r"6b0[0-9a-f]{21}")
SECONDS = 10.0  # that an execution, or a task of a workflow, takes
# How far into those seconds an execution shows this status; 25 is after the end of any.
WHEN = {"requested": 0.0, "delayed": 1.5, "scheduled": 1.5, "running": 5.0}

OF_PARENT = {"pending": "paused", "running": "running"}  # the workflow's status, by its task's
ADDED_CONTEXT = ("user", "pack", "cancelled_by", "workflow_execution")  # by StackStorm itself
CHANGING = "clienttest.changing"
# Of packs that the sandbox does not bring along.
MORE_ACTIONS = {
    "examples.isprime": {
        "runner_type": "python-script",
        "parameters": {"value": {"type": "integer", "required": True}},
    }
}


@dataclass(frozen=True)
class Recording:
    """One exchange; ``body`` is parsed JSON, or text."""

    name: str
    method: str
    path: str
    headers: dict[str, str]
    sent: Any
    status: int
    answer_headers: dict[str, str]
    body: Any

    @property
    def resource(self) -> str:
        """Return the path without service, version and query: "executions/ID/children"."""
        path = urlsplit(self.path).path
        return re.sub(r"^(/(api|auth))?(/v1)?/?", "", path).rstrip("/")


@cache
def recordings() -> dict[str, Recording]:
    """Return all exchanges by name."""
    found = {}
    for file in sorted(STACKSTORM_CONTRACTS.glob("*.json")):
        raw = json.loads(file.read_text(encoding="utf-8"))
        if "request" in raw:
            request, answer = raw["request"], raw["response"]
            found[file.stem] = Recording(
                file.stem,
                request["method"],
                request["path"],
                request["headers"],
                request["body"],
                answer["status"],
                answer["headers"],
                answer["body"],
            )
    return found


@cache
def known_views() -> dict[str, dict[str, Any]]:
    """Return an execution's whole view for every id that some recording shows whole."""
    views: dict[str, dict[str, Any]] = {}
    for recording in recordings().values():
        rows = recording.body if isinstance(recording.body, list) else [recording.body]
        for row in rows:
            if isinstance(row, dict) and "liveaction" in row:
                views.setdefault(row["id"], row)
    return views


@cache
def known_actions() -> dict[str, str]:
    """Return the ref of every action whose id some recording shows."""
    actions = [one.body for one in recordings().values() if isinstance(one.body, dict)]
    return {one["id"]: one["ref"] for one in actions if "runner_type" in one}


class Stage:
    """Makes the executions that a recording speaks of, and remembers their ids."""

    def __init__(self, client: Client, advance: Callable[[float], None]) -> None:
        self.client = client
        self.advance = advance
        self.ids: dict[str, str] = {}

    def set(self, recording: Recording) -> None:
        """Bring the sandbox to where the recording began."""
        self.client.sandbox.configure(
            duration_seconds=SECONDS, actions=MORE_ACTIONS | _changed_action(recording)
        )
        for row in _rows_in(recording):
            self._make(row, recording)
        for one in OBJECT_ID.findall(recording.path):
            if one in known_actions():
                self.ids[one] = self.client.get(f"/v1/actions/{known_actions()[one]}")["id"]
            elif one not in self.ids and one in known_views():
                self._make(known_views()[one] | _view_before(recording), recording)
        offset = re.search(r"offset=(\d+)", recording.path)
        if offset and recording.resource.startswith("executions"):
            for _one in range(int(offset[1])):
                self.client.post("core.noop")

    def translate(self, path: str) -> str:
        """Put this sandbox's ids in place of the recorded ones."""
        return OBJECT_ID.sub(lambda found: self.ids.get(found[0], found[0]), path)

    def _make(self, row: dict[str, Any], recording: Recording) -> None:
        if row["id"] in self.ids:
            return
        view = row if "liveaction" in row else known_views().get(row["id"], {}) | row
        if "parent" in view:
            status = OF_PARENT.get(view["status"], "succeeded")
            self._make(known_views()[view["parent"]] | {"status": status}, recording)
            return
        self.ids[row["id"]] = made = self._bring(view, recording)
        children = self.client.get(f"/v1/executions/{made}").get("children", [])
        self.ids.update(zip(view.get("children", []), children, strict=False))

    def _bring(self, view: dict[str, Any], recording: Recording) -> str:
        """Make an execution and bring it to the status of ``view``; return its id."""
        if not _is_canceled_by_somebody(view):
            made = self._post(view, view["status"], recording)
            self.advance(WHEN.get(view["status"], 100.0))
            return made
        log = [entry["status"] for entry in view["log"]]
        status = next(one for one in reversed(log) if not one.startswith("cancel"))
        made = self._post(view, status, recording)
        self.advance(WHEN[status])
        is_the_cancel_itself = recording.method in ("DELETE", "PUT") and (
            log[-1] == "canceling" or "canceling" not in log
        )
        if not is_the_cancel_itself:
            self.client.call("DELETE", f"/v1/executions/{made}")
            self.advance(0.0 if view["status"] == "canceling" else 100.0)
        return made

    def _post(self, view: dict[str, Any], status: str, recording: Recording) -> str:
        ref = view.get("action", {}).get("ref", "core.noop")
        is_natural = status in ("pending", "paused") or (
            status in WHEN and (status != "delayed" or "delay" in view)
        )
        self.client.sandbox.configure(outcomes={} if is_natural else {ref: status})
        context = {k: v for k, v in view.get("context", {}).items() if k not in ADDED_CONTEXT}
        tag = re.search(r"trace_tag[:=]([\w-]+)", recording.path)
        if tag:
            context.setdefault("trace_context", {"trace_tag": tag[1]})
        parameters = view.get("parameters", {})
        if status == "succeeded":
            parameters = _escaped(parameters)
        body = {"action": ref, "parameters": parameters, "context": context}
        if "delay" in view:
            body["delay"] = view["delay"]
        self.client.call("POST", "/v1/executions", body)
        return str(self.client.sandbox.executions[-1]["id"])


def _changed_action(recording: Recording) -> dict[str, Any]:
    """Return the action that changes between recordings, as it was at this one."""
    body = recording.body if isinstance(recording.body, dict) else {}
    shown = body.get("action", body)
    if recording.name == "changed-action-parameter-renamed-400":
        shown = recordings()["changed-action-removed-on-disk-get"].body
    if not isinstance(shown, dict) or shown.get("ref") != CHANGING:
        return {}
    metadata = {name: shown[name] for name in ("runner_type", "parameters")}
    if metadata["runner_type"] == "orquesta":
        metadata["tasks"] = [{"name": "task1", "action": "core.noop"}]
    return {CHANGING: metadata}


def _rows_in(recording: Recording) -> Iterator[dict[str, Any]]:
    """Yield the executions that the answer shows, oldest first."""
    body = recording.body if isinstance(recording.body, list) else [recording.body]
    for row in reversed(body):
        if recording.resource == "traces":
            root = row["action_executions"][0]
            yield {"id": root["object_id"], "status": "succeeded"}
        elif isinstance(row, dict) and "id" in row and recording.resource.startswith("executions"):
            yield {"status": "succeeded"} | row


def _view_before(recording: Recording) -> dict[str, Any]:
    """Return what an execution was like before an answer that does not show it."""
    text = recording.body.get("faultstring", "") if isinstance(recording.body, dict) else ""
    if text == "Failed canceling execution.":
        return {"status": "requested", "context": {}, "result": {}, "log": []}
    found = re.search(r"State = (\w+)", text)
    status = found[1] if found else "running" if "pause" in text else "succeeded"
    return {"status": status, "context": {}, "result": {}}


def _is_canceled_by_somebody(view: dict[str, Any]) -> bool:
    result = view.get("result")
    message = result.get("message") if isinstance(result, dict) else None
    return "cancelled_by" in view.get("context", {}) or message == "Action canceled by user."


def _escaped(value: Any) -> Any:
    """Keep what was rendered when it was recorded from being rendered once more."""
    if isinstance(value, dict):
        return {name: _escaped(one) for name, one in value.items()}
    if isinstance(value, list):
        return [_escaped(one) for one in value]
    if not isinstance(value, str):
        return value
    return re.sub(r"\{[{%#]", lambda mark: f"{{%+ raw %}}{mark[0]}{{% endraw +%}}", value)
