"""Senders that wait for the same commit: each gets its own receipts, and one may leave."""

from __future__ import annotations

import json
import socket
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import pytest

from tests import factories
from tests.servers.poundcake import PoundCake, on_sqlite, web_server

pytestmark = pytest.mark.slow

SENDERS, LEAVING = 6, 2
WAIT_SECONDS = 2.0  # until all requests wait for the database


@pytest.fixture
def web(tmp_path: Path) -> Iterator[PoundCake]:
    poundcake = on_sqlite(tmp_path, WEB_PROCESSES="1", WEB_THREADS="8")
    with web_server(poundcake):
        yield poundcake


def send(web: PoundCake, host: str) -> socket.socket:
    """Send a webhook; return its connection without reading the response."""
    alert = factories.alert_payload(labels=factories.LABELS | {"instance": host}, fingerprint=None)
    body = json.dumps(factories.notification_body(alert)).encode()
    name, _, port = web.url.removeprefix("http://").rpartition(":")
    connection = socket.create_connection((name, int(port)), timeout=30)
    lines = [
        "POST /api/v1/webhook HTTP/1.1",
        "Host: 127.0.0.1",
        f"Authorization: Bearer {web.token}",
        f"Content-Length: {len(body)}",
        "Connection: close",
    ]
    connection.sendall("\r\n".join([*lines, "", ""]).encode() + body)
    return connection


def response(connection: socket.socket) -> tuple[int, Any]:
    with connection, connection.makefile("rb") as stream:
        head, _, body = stream.read().partition(b"\r\n\r\n")
    return int(head.split()[1]), json.loads(body)


def test_a_sender_that_leaves_does_not_affect_the_others(web: PoundCake, tmp_path: Path):
    database = tmp_path / "poundcake.sqlite3"
    with closing(sqlite3.connect(database, isolation_level=None)) as lock:
        lock.execute("BEGIN IMMEDIATE")
        connections = [send(web, f"web-{number}") for number in range(SENDERS)]
        sleep(WAIT_SECONDS)
        for leaving in connections[-LEAVING:]:
            leaving.close()
        lock.execute("ROLLBACK")
        answers = [response(one) for one in connections[:-LEAVING]]

    for number, (status, receipts) in enumerate(answers):
        assert status == 202
        [receipt] = receipts["alerts"]
        stored = web.get(f"alerts/?fingerprint={receipt['fingerprint']}")["results"]
        assert [one["instance"] for one in stored] == [f"web-{number}"]
        assert receipt["disposition"] == "unmatched"
    # A complete request is stored, even if its sender does not wait for the response.
    deadline = monotonic() + 30
    while len(stored := web.get("alerts/")["results"]) < SENDERS:
        assert monotonic() < deadline, stored
        sleep(0.1)
    assert sorted(one["instance"] for one in stored) == [f"web-{n}" for n in range(SENDERS)]
    assert {one["occurrences"] for one in stored} == {1}
