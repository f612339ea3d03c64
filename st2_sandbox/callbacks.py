"""Send callbacks like a StackStorm rule on `core.st2.generic.notifytrigger`.

Best effort, as in StackStorm: one attempt, no signature (callback-from-rule-notify.json). Each
callback is an execution that ends with the status of its HTTP request.
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

TIMEOUT = 5.0  # seconds per callback
MAX_QUEUED = 10_000


class Callbacks:
    """A thread that sends the callbacks one at a time."""

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
        """Start the thread."""
        self._thread = threading.Thread(target=self._run, name="sandbox-callbacks", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Drop the queued callbacks and stop, without waiting for a request in progress."""
        while not self._queue.empty():
            self._queue.get_nowait()
        self._queue.put(None)

    def on_status_change(self, execution: Execution, change: StatusChange) -> None:
        """Queue the callbacks of ``execution`` if ``change`` ends it and a URL is set."""
        if change.status not in FINAL or not self._options().callback_url:
            return
        for body in bodies(execution, change):
            try:
                self._queue.put_nowait((body, self._rule.start(execution, body, self._options())))
            except queue.Full:
                logger.warning("dropped a callback of execution %s: queue is full", execution.id)

    def _run(self) -> None:
        while (item := self._queue.get()) is not None:
            body, execution = item
            options = self._options()
            try:
                end = _post(options.callback_url, options.callback_token, body)
            except (OSError, http.client.HTTPException) as error:
                logger.warning("callback of %s failed: %s", body["execution_id"], error)
                end = ("failed", {"error": str(error), "traceback": ""})
            if execution is not None:
                self._rule.finish(execution, *end)


def bodies(execution: Execution, change: StatusChange) -> list[dict[str, Any]]:
    """Return one body for each route in the execution's `notify` that matches the final status."""
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
    """Send a callback; return the status and the result of its core.http execution."""
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
        response = connection.getresponse()
        content = response.read().decode(errors="replace")
        logger.debug("callback of %s: %s", body["execution_id"], response.status)
    finally:
        connection.close()
    try:
        parsed, is_parsed = json.loads(content), True
    except ValueError:
        parsed, is_parsed = content, False
    result = {
        "status_code": response.status,
        "body": parsed,
        "parsed": is_parsed,
        "headers": dict(response.headers.items()),
    }
    return ("failed" if response.status >= 400 else "succeeded"), result
