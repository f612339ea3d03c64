"""Play a StackStorm rule on `core.st2.generic.notifytrigger` that tells a client of each end.

Best effort, as in StackStorm: one try, no signature (callback-from-rule-notify.json). Each call is
an execution of its own, which ends as the call does.
"""

import base64
import http.client
import json
import logging
import queue
import threading
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from . import callback_rule
from .executions import Execution
from .options import SandboxOptions
from .timeline import FINAL, StatusChange

logger = logging.getLogger(__name__)

TIMEOUT = 5.0  # seconds, per call
MAX_QUEUED = 10_000


class Callbacks:
    """A thread that POSTs the call-backs, one after the other."""

    def __init__(
        self, options: Callable[[], SandboxOptions], rule: callback_rule.CallbackRule
    ) -> None:
        self._options = options
        self._rule = rule
        self._queue: queue.Queue[tuple[dict[str, Any], Execution | None] | None] = queue.Queue(
            MAX_QUEUED
        )
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin to send."""
        self._thread = threading.Thread(target=self._run, name="sandbox-callbacks", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Send no more; a call under way may take up to TIMEOUT and is not waited for."""
        while not self._queue.empty():
            self._queue.get_nowait()
        self._queue.put(None)

    def on_status_change(self, execution: Execution, change: StatusChange) -> None:
        """Send the call-backs of ``execution`` if this moment ends it and somebody wants them."""
        if change.status not in FINAL or not self._options().callback_url:
            return
        for body in bodies(execution, change):
            try:
                self._queue.put_nowait((body, self._rule.begin(execution, body, self._options())))
            except queue.Full:
                logger.warning("a call-back of execution %s was dropped", execution.id)

    def _run(self) -> None:
        while (waiting := self._queue.get()) is not None:
            body, made = waiting
            options = self._options()
            try:
                end = _post(options.callback_url, options.callback_token, body)
            except (OSError, http.client.HTTPException) as error:
                logger.warning("call-back of %s failed: %s", body["execution_id"], error)
                end = ("failed", {"error": str(error), "traceback": ""})
            if made is not None:
                self._rule.finish(made, *end)


def bodies(execution: Execution, change: StatusChange) -> list[dict[str, Any]]:
    """Return one body for each route that the execution's `notify` names for this end."""
    wanted = ["on-complete", "on-success" if change.status == "succeeded" else "on-failure"]
    sections = [execution.notify[name] for name in wanted if name in execution.notify]
    return [
        _body(execution, change, section, route)
        for section in sections
        for route in section.get("routes", [])
    ]


def _body(
    execution: Execution, change: StatusChange, section: dict[str, Any], route: str
) -> dict[str, Any]:
    result = json.dumps(change.result if change.result is not None else {})
    return {
        "message": section.get("message", ""),
        "data": {**section.get("data", {}), "result": result},
        "execution_id": execution.id,
        "status": change.status,
        "start_timestamp": execution.wall.at(execution.start).isoformat(),
        "end_timestamp": execution.wall.at(change.at).isoformat(),
        "action_ref": execution.action.ref,
        "runner_ref": execution.action.runner_name,
        "route": route,
        "channel": route,
    }


def _post(url: str, token: str, body: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """Call; return the status and the result of a core.http that did so."""
    parts = urlsplit(url)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = kind(parts.hostname or "", parts.port, timeout=TIMEOUT)
    headers = {
        "Content-Type": "application/json",
        "User-Agent": "st2/v3.10dev",
        "X-Stanley-Action": "http",
    }
    if token:
        login = base64.b64encode(f"{callback_rule.USERNAME}:{token}".encode()).decode()
        headers["Authorization"] = f"Basic {login}"
    try:
        path = parts._replace(scheme="", netloc="").geturl() or "/"
        connection.request("POST", path, json.dumps(body), headers)
        answer = connection.getresponse()
        content = answer.read().decode(errors="replace")
        logger.debug("call-back of %s: %s", body["execution_id"], answer.status)
    finally:
        connection.close()
    try:
        parsed, is_parsed = json.loads(content), True
    except ValueError:
        parsed, is_parsed = content, False
    result = {
        "status_code": answer.status,
        "body": parsed,
        "parsed": is_parsed,
        "headers": dict(answer.headers.items()),
    }
    return ("failed" if answer.status >= 400 else "succeeded"), result
