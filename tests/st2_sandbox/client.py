"""A bare HTTP client that follows nothing, and a clock that moves when told to."""

import http.client
import json
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from st2_sandbox import Sandbox

API_KEY = "VEVTVEtFWV9URVNUS0VZX1RFU1RLRVlfVEVTVEtFWQ"


class Clock:
    """Seconds that pass when told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += seconds


@dataclass(frozen=True)
class Reply:
    """An answer; ``body`` is parsed if it is JSON, else text."""

    status: int
    headers: dict[str, str]
    body: Any


@dataclass(frozen=True)
class Client:
    """Calls a sandbox with its API key, or with the headers given."""

    sandbox: Sandbox

    def call(
        self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None
    ) -> Reply:
        """Send one request on a connection of its own; bytes go as they are, else JSON."""
        if headers is None:
            headers = {"St2-Api-Key": API_KEY}
        data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        connection = http.client.HTTPConnection(
            urlsplit(self.sandbox.url).hostname or "", urlsplit(self.sandbox.url).port, timeout=10
        )
        try:
            connection.request(method, path, data, headers)
            answer = connection.getresponse()
            raw = answer.read()
        finally:
            connection.close()
        kind = answer.headers.get("Content-Type", "")
        parsed = json.loads(raw) if "json" in kind else raw.decode()
        return Reply(answer.status, dict(answer.headers.items()), parsed)

    def post(self, action: str, parameters: Any = None, **more: Any) -> Any:
        """Start an execution and return it."""
        reply = self.call(
            "POST", "/v1/executions", {"action": action, "parameters": parameters or {}, **more}
        )
        assert reply.status == 201, reply.body
        return reply.body

    def get(self, path: str) -> Any:
        """Return the body of a GET that has to succeed."""
        reply = self.call("GET", path)
        assert reply.status == 200, reply.body
        return reply.body
