"""Recorded exchanges with a real StackStorm, used as mocked responses."""

import json
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import responses

from remediation.stackstorm import StackStormClient
from tests.paths import CONTRACTS

FOLDER = CONTRACTS / "stackstorm"
HOST = "http://st2.example.com"
KEY = "TESTKEY-0123456789"
TOKEN = "0123456789abcdef0123456789abcdef"

# The headers that the client reads. The other recorded headers only describe the transport.
_KEPT_HEADERS = ("Content-Type", "Date", "Location")


@dataclass(frozen=True)
class Recording:
    """One recorded request and StackStorm's response. ``path``: without the query."""

    name: str
    method: str
    path: str
    query: str
    sent: Any
    status: int
    headers: dict[str, str]
    body: Any

    @property
    def content(self) -> str:
        return self.body if isinstance(self.body, str) else json.dumps(self.body)


def recording(name: str) -> Recording:
    """Return the recorded exchange with this name."""
    data = json.loads((FOLDER / f"{name}.json").read_text())
    url = urlsplit(data["request"]["path"])
    return Recording(
        name=name,
        method=data["request"]["method"],
        path=url.path,
        query=url.query,
        sent=data["request"]["body"],
        status=data["response"]["status"],
        headers={
            key: value for key, value in data["response"]["headers"].items() if key in _KEPT_HEADERS
        },
        body=data["response"]["body"],
    )


def names(*patterns: str) -> list[str]:
    """Return the names of the recordings that match a glob pattern, sorted."""
    return sorted({path.stem for pattern in patterns for path in FOLDER.glob(f"{pattern}.json")})


def make_client(**overrides: Any) -> StackStormClient:
    """Return a client of ``HOST`` that authenticates with ``KEY``."""
    arguments: dict[str, Any] = {"api_url": HOST, "api_key": KEY, "timeout": 5.0}
    return StackStormClient(**(arguments | overrides))


def make_login_client(**overrides: Any) -> StackStormClient:
    """Return a client of ``HOST`` that authenticates with tokens."""
    login = {"auth_url": f"{HOST}/auth", "username": "st2admin", "password": "Ch@ngeMe"}
    return make_client(**({"api_key": ""} | login | overrides))


def add_response(
    mock: responses.RequestsMock,
    recorded: Recording | str,
    *,
    path: str | None = None,
    method: str | None = None,
) -> responses.BaseResponse:
    """Add a recorded response to ``mock``, at ``path`` below ``HOST`` (default: as recorded)."""
    exchange = recording(recorded) if isinstance(recorded, str) else recorded
    headers = dict(exchange.headers)
    return mock.add(
        method or exchange.method,
        f"{HOST}{path or exchange.path.removeprefix('/api')}",
        body=exchange.content,
        status=exchange.status,
        content_type=headers.pop("Content-Type", "text/plain"),
        headers=headers,
    )
