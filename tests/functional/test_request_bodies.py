"""Request bodies over real sockets to gunicorn, with and without threads."""

from __future__ import annotations

import gzip
import http.client
import json
import os
import socket
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import requests

from tests import servers
from tests.paths import ROOT
from tests.servers.poundcake import manage


@dataclass(frozen=True)
class Web:
    """A web server without workers. ``token`` has all scopes."""

    port: int
    token: str

    def send(self, body: bytes, *headers: str, path: str = "webhook", end: bool = False) -> Any:
        """Send these bytes; return status and JSON. ``end``: close our side afterwards."""
        lines = [
            f"POST /api/v1/{path} HTTP/1.1",
            f"Host: 127.0.0.1:{self.port}",
            f"Authorization: Bearer {self.token}",
            "Content-Type: application/json",
            *headers,
        ]
        with socket.create_connection(("127.0.0.1", self.port), timeout=30) as connection:
            connection.sendall("\r\n".join([*lines, "", ""]).encode() + body)
            if end:
                connection.shutdown(socket.SHUT_WR)
            response = http.client.HTTPResponse(connection)
            response.begin()
            text = response.read()
        try:
            return response.status, json.loads(text)
        except ValueError:
            return response.status, text.decode()

    def alerts(self, name: str) -> int:
        """Return the number of stored alerts with this name."""
        response = requests.get(
            f"http://127.0.0.1:{self.port}/api/v1/alerts/?alert_name={name}",
            headers={"Authorization": f"Bearer {self.token}"},
            timeout=30,
        )
        return len(response.json()["results"])


@pytest.fixture(scope="module", params=["1", "4"], ids=["one thread", "four threads"])
def web(request: Any, tmp_path_factory: Any) -> Iterator[Web]:
    port = servers.free_port()
    database = tmp_path_factory.mktemp("database") / "poundcake.sqlite3"
    environment = os.environ | {
        "DATABASE_URL": f"sqlite:///{database}",
        "DJANGO_SETTINGS_MODULE": "poundcake.settings",
        "SECRET_KEY": "bodies",
    }
    manage(environment, "migrate", "--verbosity", "0")
    token = manage(environment, "create_token", "tests", "--scope", "admin").splitlines()[-1]
    options = ["--workers", "1", "--threads", request.param, "--bind", f"127.0.0.1:{port}"]
    command = ["env", *(f"{name}={value}" for name, value in environment.items())]
    command += [sys.executable, "-m", "gunicorn", *options, "poundcake.wsgi"]
    with servers.run_server(command, is_ready=lambda: is_ready(port), directory=ROOT):
        yield Web(port, token)


def is_ready(port: int) -> bool:
    try:
        return requests.get(f"http://127.0.0.1:{port}/healthz", timeout=5).ok
    except requests.RequestException:
        return False


@pytest.fixture
def name(request: Any) -> str:
    return str(request.node.originalname)


def alert(name: str) -> bytes:
    return json.dumps({"alerts": [{"status": "firing", "labels": {"alertname": name}}]}).encode()


def chunked(body: bytes, size: int = 7) -> bytes:
    pieces = [body[start : start + size] for start in range(0, len(body), size)]
    return b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"


CHUNKED = "Transfer-Encoding: chunked"
GZIP = "Content-Encoding: gzip"


def test_a_chunked_notification_is_stored(web: Web, name: str) -> None:
    status, answer = web.send(chunked(alert(name)), CHUNKED)

    assert (status, answer["alerts_received"]) == (202, 1)
    assert web.alerts(name) == 1


def test_a_compressed_notification_is_stored(web: Web, name: str) -> None:
    body = gzip.compress(alert(name))

    for sent, headers in (
        (body, (GZIP, f"Content-Length: {len(body)}")),
        (chunked(body), (GZIP, CHUNKED)),
        (chunked(body), ("Transfer-Encoding: gzip, chunked",)),
    ):
        status, answer = web.send(sent, *headers)
        assert (status, answer["alerts_received"]) == (202, 1)

    assert web.alerts(name) == 1


def test_a_chunked_definition_is_stored(web: Web, name: str) -> None:
    body = json.dumps({"name": name, "st2_action_ref": "core.local"}).encode()

    status, answer = web.send(chunked(body), CHUNKED, path="actions/")

    assert (status, answer["name"]) == (201, name)


def test_a_truncated_notification_gets_a_503_so_the_sender_retries(web: Web, name: str) -> None:
    body = alert(name)
    compressed = gzip.compress(body)

    for sent, headers in (
        (chunked(body)[:-9], (CHUNKED,)),
        (chunked(body)[:-2], (CHUNKED,)),
        (body, (f"Content-Length: {len(body) + 5}",)),
        (body[:20], (f"Content-Length: {len(body)}",)),
        (compressed[:-3], (GZIP, f"Content-Length: {len(compressed)}")),
        (b"zz\r\n" + body, (CHUNKED,)),
        (b"5\r\n" + body, (CHUNKED,)),
        (chunked(compressed[:-3]), (GZIP, CHUNKED)),
    ):
        status, answer = web.send(sent, *headers, end=True)
        assert (status, answer["error"]["code"]) == (503, "unreadable_body"), sent

    assert web.alerts(name) == 0


def test_a_truncated_definition_is_not_stored(web: Web, name: str) -> None:
    body = json.dumps({"name": name, "st2_action_ref": "core.local"}).encode()

    status, answer = web.send(chunked(body)[:-5], CHUNKED, path="actions/", end=True)

    assert (status, answer["error"]["code"]) == (400, "parse_error")


def test_the_web_server_refuses_two_lengths(web: Web, name: str) -> None:
    body = alert(name)

    status, _ = web.send(chunked(body), CHUNKED, f"Content-Length: {len(body)}", end=True)

    assert status == 400
    assert web.alerts(name) == 0


def test_an_empty_chunked_body_is_an_empty_body(web: Web) -> None:
    status, answer = web.send(b"0\r\n\r\n", CHUNKED)

    assert status == 400
    assert "not JSON" in answer["error"]["message"]


def test_a_decompression_bomb_is_refused(web: Web) -> None:
    status, answer = web.send(chunked(gzip.compress(b" " * (64 << 20)), 1 << 16), GZIP, CHUNKED)

    assert (status, answer["error"]["code"]) == (413, "too_large")
