"""A minimal HTTP client for the sandbox, a manual clock, and values that several tests share."""

import http.client
import json
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from st2_sandbox import Sandbox

API_KEY = "VEVTVEtFWV9URVNUS0VZX1RFU1RLRVlfVEVTVEtFWQ"
BASIC_AUTH = {"Authorization": "Basic c3QyYWRtaW46Q2hAbmdlTWU="}  # st2admin:Ch@ngeMe
TRACE_CONTEXT = {"trace_context": {"trace_tag": "tag-1"}}
BY_TRACE_TAG = "/v1/executions?filter=context.trace_context.trace_tag:tag-1"


class Clock:
    """A clock that only ``advance`` moves."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += seconds


@dataclass(frozen=True)
class Response:
    """An HTTP response; ``body`` is parsed JSON, or text."""

    status: int
    headers: dict[str, str]
    body: Any


@dataclass(frozen=True)
class Client:
    """Sends requests to a sandbox, by default with its API key. Follows no redirects."""

    sandbox: Sandbox

    def connect(self) -> http.client.HTTPConnection:
        """Return a new connection; the caller closes it."""
        address = urlsplit(self.sandbox.url)
        return http.client.HTTPConnection(address.hostname or "", address.port, timeout=10)

    def call(
        self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None
    ) -> Response:
        """Send one request on its own connection. A body that is not bytes is sent as JSON."""
        if headers is None:
            headers = {"St2-Api-Key": API_KEY}
        data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        connection = self.connect()
        try:
            connection.request(method, path, data, headers)
            response = connection.getresponse()
            raw = response.read()
        finally:
            connection.close()
        content_type = response.headers.get("Content-Type", "")
        parsed = json.loads(raw) if "json" in content_type else raw.decode()
        return Response(response.status, dict(response.headers.items()), parsed)

    def post(self, action: str, parameters: Any = None, **fields: Any) -> Any:
        """Start an execution and return it."""
        response = self.call(
            "POST", "/v1/executions", {"action": action, "parameters": parameters or {}, **fields}
        )
        assert response.status == 201, response.body
        return response.body

    def get(self, path: str) -> Any:
        """Return the body of a GET that must succeed."""
        response = self.call("GET", path)
        assert response.status == 200, response.body
        return response.body
