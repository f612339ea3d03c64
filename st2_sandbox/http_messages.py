"""The two ends of an exchange, as the endpoints see them: a call in, an answer out."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlsplit

SERVER_BANNER = "StackStorm sandbox: a stand-in held to recordings, which executes nothing"


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """A request; header names are in lower case, of a repeated query parameter the last counts.

    ``service`` is what nginx's first part of the path chooses (api, auth or stream), empty on a
    bare port, where all are at hand; ``path`` is what is left, without version: "/executions".
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
        """Take a request's target apart."""
        parts = urlsplit(target)
        service, path = split_service(parts.path)
        if path.startswith("/v1/") and path != "/v1/":
            path = path.removeprefix("/v1")
        query = dict(parse_qsl(parts.query, keep_blank_values=True))
        lower = {name.lower(): value for name, value in headers.items()}
        return cls(method, service, path, query, lower, body)


@dataclass(frozen=True, slots=True)
class HttpResponse:
    """A whole answer; a ``body`` of bytes goes out as it is, anything else as JSON."""

    status: int
    body: Any
    headers: Mapping[str, str] = field(default_factory=dict)
    content_type: str = "application/json"

    def encoded(self) -> bytes:
        """Return the body's bytes."""
        return self.body if isinstance(self.body, bytes) else json.dumps(self.body).encode()


@dataclass(frozen=True, slots=True)
class StreamResponse:
    """An answer that does not end: the stream of events that ``query`` chooses."""

    query: Mapping[str, str]


class ConnectionCutError(Exception):
    """The connection ends here without an answer."""


def split_service(path: str) -> tuple[str, str]:
    """Return the service that nginx finds in a path, empty on a bare one, and the rest."""
    first, _, rest = path.removeprefix("/").partition("/")
    if first in ("api", "auth", "stream") and (rest or path.endswith("/") or first == "api"):
        return first, f"/{rest}"
    return "", path


def fault(status: int, text: str) -> HttpResponse:
    """Return an error as StackStorm writes it."""
    return HttpResponse(status, {"faultstring": text})


def error_page(status: int, title: str, text: str = "") -> HttpResponse:
    """Return an error page of nginx or gunicorn: not JSON, which clients have to expect."""
    page = (
        f"<html>\n<head><title>{title}</title></head>\n<body>\n"
        f"<center><h1>{title}</h1></center>\n{text}\n</body>\n</html>\n"
    )
    return HttpResponse(status, page.encode(), {"Connection": "close"}, "text/html")
