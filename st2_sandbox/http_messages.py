"""The requests and responses of the endpoints."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlsplit

SERVER_BANNER = "StackStorm sandbox: a stand-in held to recordings, which executes nothing"


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """A request; header names are in lower case; the last of repeated query parameters wins.

    ``service``: the service in the first part of a path behind nginx (api, auth or stream), '' on
    a bare port, which serves all three. ``path``: the rest without the version: "/executions".
    """

    method: str
    service: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes = b""

    @classmethod
    def parse(
        cls, method: str, target: str, headers: Mapping[str, str], body: bytes
    ) -> "HttpRequest":
        """Parse the request target."""
        parts = urlsplit(target)
        service, path = split_service(parts.path)
        if path.startswith("/v1/") and path != "/v1/":
            path = path.removeprefix("/v1")
        query = dict(parse_qsl(parts.query, keep_blank_values=True))
        lower = {name.lower(): value for name, value in headers.items()}
        return cls(method, service, path, query, lower, body)


@dataclass(frozen=True, slots=True)
class HttpResponse:
    """A complete response; a ``body`` of bytes is sent unchanged, any other as JSON."""

    status: int
    body: Any
    headers: Mapping[str, str] = field(default_factory=dict)
    content_type: str = "application/json"

    def encoded(self) -> bytes:
        """Return the encoded body."""
        return self.body if isinstance(self.body, bytes) else json.dumps(self.body).encode()


@dataclass(frozen=True, slots=True)
class StreamResponse:
    """An endless response: the stream of the events that match ``query``."""

    query: Mapping[str, str]


class ConnectionCutError(Exception):
    """Close the connection without a response."""


def split_service(path: str) -> tuple[str, str]:
    """Return the service that nginx finds in a path, '' without one, and the rest."""
    first, _, rest = path.removeprefix("/").partition("/")
    if first in ("api", "auth", "stream") and (rest or path.endswith("/") or first == "api"):
        return first, f"/{rest}"
    return "", path


def fault_response(status: int, text: str) -> HttpResponse:
    """Return an error in StackStorm's format."""
    return HttpResponse(status, {"faultstring": text})


def error_page(status: int, title: str, text: str = "") -> HttpResponse:
    """Return an HTML error page of nginx or gunicorn."""
    page = (
        f"<html>\n<head><title>{title}</title></head>\n<body>\n"
        f"<center><h1>{title}</h1></center>\n{text}\n</body>\n</html>\n"
    )
    return HttpResponse(status, page.encode(), {"Connection": "close"}, "text/html")
