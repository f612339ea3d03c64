"""Recorded exchanges with a real StackStorm, and the sandbox set-up to replay each of them."""

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
DURATION_SECONDS = 10.0  # of an execution, and of each task of a workflow
# Seconds after the POST at which an execution of that duration has this status.
STATUS_AT_SECONDS = {"requested": 0.0, "delayed": 1.5, "scheduled": 1.5, "running": 5.0}
AFTER_THE_END_SECONDS = 100.0

# Status of a workflow by the status of its current task.
WORKFLOW_STATUS = {"pending": "paused", "running": "running"}
# Context keys that StackStorm adds itself.
ADDED_CONTEXT = ("user", "pack", "cancelled_by", "workflow_execution")
CHANGING_ACTION = "clienttest.changing"
# Actions of packs that do not come with the sandbox.
EXTRA_ACTIONS = {
    "examples.isprime": {
        "runner_type": "python-script",
        "parameters": {"value": {"type": "integer", "required": True}},
    }
}


@dataclass(frozen=True)
class Recording:
    """One recorded exchange; ``status`` and ``body`` are of the response.

    ``body``: parsed JSON, or text.
    """

    name: str
    method: str
    path: str
    request_headers: dict[str, str]
    request_body: Any
    status: int
    response_headers: dict[str, str]
    body: Any

    @property
    def resource(self) -> str:
        """Return the path without service, version and query: "executions/ID/children"."""
        path = urlsplit(self.path).path
        return re.sub(r"^(/(api|auth))?(/v1)?/?", "", path).rstrip("/")


@cache
def recordings() -> dict[str, Recording]:
    """Return all recorded exchanges by name."""
    found = {}
    for file in sorted(STACKSTORM_CONTRACTS.glob("*.json")):
        raw = json.loads(file.read_text(encoding="utf-8"))
        if "request" in raw:
            request, response = raw["request"], raw["response"]
            found[file.stem] = Recording(
                name=file.stem,
                method=request["method"],
                path=request["path"],
                request_headers=request["headers"],
                request_body=request["body"],
                status=response["status"],
                response_headers=response["headers"],
                body=response["body"],
            )
    return found


@cache
def recorded_executions() -> dict[str, dict[str, Any]]:
    """Return executions by id, from the responses that show all their fields."""
    found: dict[str, dict[str, Any]] = {}
    for recording in recordings().values():
        rows = recording.body if isinstance(recording.body, list) else [recording.body]
        for row in rows:
            if isinstance(row, dict) and "liveaction" in row:
                found.setdefault(row["id"], row)
    return found


@cache
def recorded_action_refs() -> dict[str, str]:
    """Return the refs of the recorded actions by id."""
    bodies = [one.body for one in recordings().values() if isinstance(one.body, dict)]
    return {body["id"]: body["ref"] for body in bodies if "runner_type" in body}


class ReplaySetup:
    """Creates the executions that a recording refers to, and maps their recorded ids."""

    def __init__(self, client: Client, advance: Callable[[float], None]) -> None:
        self.client = client
        self.advance = advance
        self.ids: dict[str, str] = {}  # recorded id -> id in this sandbox

    def prepare(self, recording: Recording) -> None:
        """Bring the sandbox to the state before the recorded request."""
        self.client.sandbox.configure(
            duration_seconds=DURATION_SECONDS, actions=EXTRA_ACTIONS | _changed_action(recording)
        )
        for row in _executions_in(recording):
            self._ensure_execution(row, recording)
        for one in OBJECT_ID.findall(recording.path):
            if one in recorded_action_refs():
                action = self.client.get(f"/v1/actions/{recorded_action_refs()[one]}")
                self.ids[one] = action["id"]
            elif one not in self.ids and one in recorded_executions():
                before = recorded_executions()[one] | _state_before(recording)
                self._ensure_execution(before, recording)
        offset = re.search(r"offset=(\d+)", recording.path)
        if offset and recording.resource.startswith("executions"):
            for _ in range(int(offset[1])):
                self.client.post("core.noop")

    def replace_ids(self, path: str) -> str:
        """Replace the recorded ids in ``path`` by the ids of this sandbox."""
        return OBJECT_ID.sub(lambda found: self.ids.get(found[0], found[0]), path)

    def _ensure_execution(self, row: dict[str, Any], recording: Recording) -> None:
        if row["id"] in self.ids:
            return
        view = row if "liveaction" in row else recorded_executions().get(row["id"], {}) | row
        if "parent" in view:
            status = WORKFLOW_STATUS.get(view["status"], "succeeded")
            parent = recorded_executions()[view["parent"]] | {"status": status}
            self._ensure_execution(parent, recording)
            return
        self.ids[row["id"]] = made = self._create(view, recording)
        children = self.client.get(f"/v1/executions/{made}").get("children", [])
        self.ids.update(zip(view.get("children", []), children, strict=False))

    def _create(self, view: dict[str, Any], recording: Recording) -> str:
        """Create an execution, bring it to the status of ``view`` and return its id."""
        if not _is_canceled_by_a_request(view):
            made = self._post(view, view["status"], recording)
            self.advance(STATUS_AT_SECONDS.get(view["status"], AFTER_THE_END_SECONDS))
            return made
        log = [entry["status"] for entry in view["log"]]
        status = next(one for one in reversed(log) if not one.startswith("cancel"))
        made = self._post(view, status, recording)
        self.advance(STATUS_AT_SECONDS[status])
        is_the_cancel_itself = recording.method in ("DELETE", "PUT") and (
            log[-1] == "canceling" or "canceling" not in log
        )
        if not is_the_cancel_itself:
            self.client.call("DELETE", f"/v1/executions/{made}")
            self.advance(0.0 if view["status"] == "canceling" else AFTER_THE_END_SECONDS)
        return made

    def _post(self, view: dict[str, Any], status: str, recording: Recording) -> str:
        ref = view.get("action", {}).get("ref", "core.noop")
        needs_no_outcome = status in ("pending", "paused") or (
            status in STATUS_AT_SECONDS and (status != "delayed" or "delay" in view)
        )
        self.client.sandbox.configure(outcomes={} if needs_no_outcome else {ref: status})
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
    """Return CHANGING_ACTION with its metadata at the time of this recording."""
    body = recording.body if isinstance(recording.body, dict) else {}
    shown = body.get("action", body)
    if recording.name == "changed-action-parameter-renamed-400":
        shown = recordings()["changed-action-removed-on-disk-get"].body
    if not isinstance(shown, dict) or shown.get("ref") != CHANGING_ACTION:
        return {}
    metadata = {name: shown[name] for name in ("runner_type", "parameters")}
    if metadata["runner_type"] == "orquesta":
        metadata["tasks"] = [{"name": "task1", "action": "core.noop"}]
    return {CHANGING_ACTION: metadata}


def _executions_in(recording: Recording) -> Iterator[dict[str, Any]]:
    """Yield the executions in the response, oldest first."""
    body = recording.body if isinstance(recording.body, list) else [recording.body]
    for row in reversed(body):
        if recording.resource == "traces":
            root = row["action_executions"][0]
            yield {"id": root["object_id"], "status": "succeeded"}
        elif isinstance(row, dict) and "id" in row and recording.resource.startswith("executions"):
            yield {"status": "succeeded"} | row


def _state_before(recording: Recording) -> dict[str, Any]:
    """Return an execution's fields before a request whose response does not show it."""
    text = recording.body.get("faultstring", "") if isinstance(recording.body, dict) else ""
    if text == "Failed canceling execution.":
        return {"status": "requested", "context": {}, "result": {}, "log": []}
    found = re.search(r"State = (\w+)", text)
    status = found[1] if found else "running" if "pause" in text else "succeeded"
    return {"status": status, "context": {}, "result": {}}


def _is_canceled_by_a_request(view: dict[str, Any]) -> bool:
    result = view.get("result")
    message = result.get("message") if isinstance(result, dict) else None
    return "cancelled_by" in view.get("context", {}) or message == "Action canceled by user."


def _escaped(value: Any) -> Any:
    """Escape template marks; the recorded values have already been rendered."""
    if isinstance(value, dict):
        return {name: _escaped(one) for name, one in value.items()}
    if isinstance(value, list):
        return [_escaped(one) for one in value]
    if not isinstance(value, str):
        return value
    return re.sub(r"\{[{%#]", lambda mark: f"{{%+ raw %}}{mark[0]}{{% endraw +%}}", value)
