"""Bodies as they travel: compressed, damaged, too large when unpacked."""

from __future__ import annotations

import gzip
import json
import time
import zlib
from typing import Any

import pytest
from django.test import Client

from audit.models import ApiCall
from remediation.api.body_decoding import RECEIVE_SECONDS
from remediation.models import Action, Alert
from tests import factories

pytestmark = pytest.mark.django_db

BODY = json.dumps(factories.notification_body()).encode()
HALF = gzip.compress(BODY)[:-20]
MIB = 2**20


def raw_deflate(body: bytes) -> bytes:
    return zlib.compress(body, wbits=-zlib.MAX_WBITS)


def post(body: bytes, coding: str, *, url: str = "webhook", scope: str = "webhook") -> Any:
    client: Client = factories.make_client(scope)
    return client.post(
        f"/api/v1/{url}/", body, content_type="application/json", HTTP_CONTENT_ENCODING=coding
    )


@pytest.mark.parametrize(
    ("coding", "body"),
    [
        ("gzip", gzip.compress(BODY)),
        ("GZIP", gzip.compress(BODY)),
        ("x-gzip", gzip.compress(BODY)),
        ("gzip", gzip.compress(BODY[:100]) + gzip.compress(BODY[100:])),
        ("deflate", zlib.compress(BODY)),
        ("deflate", raw_deflate(BODY)),
        ("deflate, gzip", gzip.compress(zlib.compress(BODY))),
        ("identity", BODY),
        ("", BODY),
    ],
)
def test_a_compressed_notification_is_taken(coding: str, body: bytes) -> None:
    answer = post(body, coding)

    assert answer.status_code == 202
    assert Alert.objects.count() == 1
    assert ApiCall.objects.get().body == json.loads(BODY)


def test_a_compressed_definition_is_taken() -> None:
    body = json.dumps({"name": "restart", "st2_action_ref": "core.local"}).encode()

    answer = post(gzip.compress(body), "gzip", url="actions", scope="edit")

    assert answer.status_code == 201
    assert Action.objects.get().name == "restart"


DAMAGED = [
    ("gzip", BODY),
    ("gzip", HALF),
    ("gzip", gzip.compress(BODY)[:-1]),
    ("gzip", gzip.compress(BODY)[:-8] + b"\0" * 8),
    ("gzip", gzip.compress(BODY) + b"more"),
    ("deflate", zlib.compress(BODY)[:-4] + b"\0\0\0\0"),
    ("gzip, gzip", gzip.compress(BODY)),
    ("br", BODY),
    ("zstd, gzip", gzip.compress(BODY)),
]


@pytest.mark.parametrize(("coding", "body"), DAMAGED)
def test_what_cannot_be_read_is_for_the_sender_to_repeat(coding: str, body: bytes) -> None:
    answer = post(body, coding)

    assert answer.status_code == 503
    assert answer.json()["error"]["code"] == "unreadable_body"
    assert answer["Retry-After"] == "5"
    assert not Alert.objects.exists()
    assert ApiCall.objects.get().status_code == 503


@pytest.mark.parametrize(("coding", "body"), DAMAGED)
def test_what_cannot_be_read_is_refused_elsewhere(coding: str, body: bytes) -> None:
    answer = post(body, coding, url="actions", scope="edit")

    assert answer.status_code == (415 if coding.startswith(("br", "zstd")) else 400)
    assert not Action.objects.exists()


def test_a_body_that_cannot_be_read_is_not_taken_for_an_empty_one() -> None:
    run = factories.make_run(status="running")

    answer = post(HALF, "gzip", url=f"runs/{run.pk}/cancel", scope="operate")

    run.refresh_from_db()
    assert (answer.status_code, run.stop) == (400, "")
    assert "broke off" in answer.json()["error"]["message"]


def test_a_body_that_is_shorter_than_its_length_is_for_the_sender_to_repeat() -> None:
    client = factories.make_client("webhook")

    answer = client.generic(
        "POST", "/api/v1/webhook/", BODY, "application/json", CONTENT_LENGTH=str(len(BODY) + 1)
    )

    assert answer.status_code == 503
    assert "broke off" in answer.json()["error"]["message"]


def test_an_unknown_coding_is_named() -> None:
    assert "'br'" in post(BODY, "br").json()["error"]["message"]


@pytest.mark.parametrize(
    "body",
    [
        gzip.compress(b" " * (33 * MIB)),
        gzip.compress(b" " * (200 * MIB), compresslevel=1),
        gzip.compress(b"") * 100_000,
    ],
    ids=["33 MiB", "200 MiB", "many members"],
)
def test_a_bomb_is_refused_at_once(body: bytes) -> None:
    begin = time.process_time()

    answer = post(body, "gzip")

    assert answer.status_code == 413
    assert "32 MiB, unpacked" in answer.json()["error"]["message"]
    assert time.process_time() - begin < 3


def test_a_chunked_body_is_not_empty_where_the_server_reads_none() -> None:
    client = factories.make_client("webhook")

    answer = client.post(
        "/api/v1/webhook/", BODY, "application/json", HTTP_TRANSFER_ENCODING="chunked"
    )

    assert answer.status_code == 503
    assert "send Content-Length" in answer.json()["error"]["message"]


class StalledConnection:
    """A sender that sends no more bytes."""

    def __init__(self) -> None:
        self.timeouts: list[float | None] = []

    def gettimeout(self) -> None:
        return None

    def settimeout(self, seconds: float | None) -> None:
        self.timeouts.append(seconds)

    def read(self, _size: int) -> bytes:
        raise TimeoutError

    readline = read


def test_a_sender_that_stalls_holds_no_thread_for_ever() -> None:
    stalled = StalledConnection()
    client = factories.make_client("webhook")

    answer = client.post(
        "/api/v1/webhook/",
        HTTP_TRANSFER_ENCODING="chunked",
        **{"wsgi.input": stalled, "wsgi.input_terminated": True, "gunicorn.socket": stalled},
    )

    assert answer.status_code == 503
    assert stalled.timeouts == [RECEIVE_SECONDS, None]
