"""Request bodies over real sockets to the web server."""

from __future__ import annotations

import gzip
import http.client
import json
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import requests

from tests.servers.poundcake import on_sqlite, web_server


@dataclass(frozen=True)
class Web:
    """A web server without workers. ``token`` has all scopes."""

    port: int
    token: str

    def send(self, body: bytes, *headers: str, path: str = "webhook", end: bool = False) -> Any:
        """Send these bytes; return status and JSON. ``end``: close our side afterwards."""
        lines = [*self.head(path), *headers]
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

    def head(self, path: str) -> list[str]:
        """Return the first lines of a POST request with the token."""
        return [
            f"POST /api/v1/{path} HTTP/1.1",
            f"Host: 127.0.0.1:{self.port}",
            f"Authorization: Bearer {self.token}",
            "Content-Type: application/json",
        ]

    def alerts(self, name: str) -> int:
        """Return the number of stored alerts with this name."""
        response = requests.get(
            f"http://127.0.0.1:{self.port}/api/v1/alerts/?alert_name={name}",
            headers={"Authorization": f"Bearer {self.token}"},
            timeout=30,
        )
        return len(response.json()["results"])


@pytest.fixture(scope="module")
def web(tmp_path_factory: Any) -> Iterator[Web]:
    poundcake = on_sqlite(tmp_path_factory.mktemp("database"))
    with web_server(poundcake):
        yield Web(int(poundcake.url.rpartition(":")[2]), poundcake.token)


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
    ):
        status, answer = web.send(sent, *headers, end=True)
        assert (status, answer["error"]["code"]) == (503, "unreadable_body"), sent

    status, answer = web.send(chunked(compressed[:-3]), GZIP, CHUNKED)
    assert (status, answer["error"]["code"]) == (503, "unreadable_body")

    assert web.alerts(name) == 0


def test_a_truncated_definition_is_not_stored(web: Web, name: str) -> None:
    body = json.dumps({"name": name, "st2_action_ref": "core.local"}).encode()

    status, answer = web.send(chunked(body)[:-5], CHUNKED, path="actions/", end=True)

    assert (status, answer["error"]["code"]) == (400, "parse_error")


def test_a_second_length_smuggles_no_request(web: Web, name: str) -> None:
    smuggled = b"GET /api/v1/alerts/ HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
    body = chunked(alert(name)) + smuggled

    with socket.create_connection(("127.0.0.1", web.port), timeout=30) as connection:
        lines = [*web.head("webhook"), CHUNKED, f"Content-Length: {len(body)}"]
        connection.sendall("\r\n".join([*lines, "", ""]).encode() + body)
        received = b"".join(iter(lambda: connection.recv(65_536), b""))

    # One response, then the connection is closed.
    assert received.startswith(b"HTTP/1.1 202 ")
    assert received.count(b"HTTP/1.1 ") == 1


def test_two_content_lengths_are_refused(web: Web, name: str) -> None:
    body = alert(name)

    status, _ = web.send(
        body, f"Content-Length: {len(body)}", f"Content-Length: {len(body) + 1}", end=True
    )

    assert status == 400
    assert web.alerts(name) == 0


def test_an_empty_chunked_body_is_an_empty_body(web: Web) -> None:
    status, answer = web.send(b"0\r\n\r\n", CHUNKED)

    assert status == 400
    assert "not JSON" in answer["error"]["message"]


def test_a_decompression_bomb_is_refused(web: Web) -> None:
    status, answer = web.send(chunked(gzip.compress(b" " * (64 << 20)), 1 << 16), GZIP, CHUNKED)

    assert (status, answer["error"]["code"]) == (413, "too_large")
