"""Decoding of compressed, corrupt and too large request bodies."""

from __future__ import annotations

import gzip
import json
import time
import zlib
from typing import Any

import pytest
from django.test import Client

from audit.models import ApiCall
from remediation.models import Action, Alert
from tests import factories

pytestmark = pytest.mark.django_db

BODY = json.dumps(factories.notification_body()).encode()
TRUNCATED = gzip.compress(BODY)[:-20]
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
def test_a_compressed_notification_is_accepted(coding: str, body: bytes) -> None:
    response = post(body, coding)

    assert response.status_code == 202
    assert Alert.objects.count() == 1
    assert ApiCall.objects.get().body == json.loads(BODY)


def test_a_compressed_definition_is_accepted() -> None:
    body = json.dumps({"name": "restart", "st2_action_ref": "core.local"}).encode()

    response = post(gzip.compress(body), "gzip", url="actions", scope="edit")

    assert response.status_code == 201
    assert Action.objects.get().name == "restart"


UNREADABLE = [
    ("gzip", BODY),
    ("gzip", TRUNCATED),
    ("gzip", gzip.compress(BODY)[:-1]),
    ("gzip", gzip.compress(BODY)[:-8] + b"\0" * 8),
    ("gzip", gzip.compress(BODY) + b"trailing"),
    ("deflate", zlib.compress(BODY)[:-4] + b"\0\0\0\0"),
    ("gzip, gzip", gzip.compress(BODY)),
    ("br", BODY),
    ("zstd, gzip", gzip.compress(BODY)),
]


@pytest.mark.parametrize(("coding", "body"), UNREADABLE)
def test_an_unreadable_notification_is_503_so_that_the_sender_retries(
    coding: str, body: bytes
) -> None:
    response = post(body, coding)

    assert response.status_code == 503
    assert response.json()["error"]["code"] == "unreadable_body"
    assert response["Retry-After"] == "5"
    assert not Alert.objects.exists()
    assert ApiCall.objects.get().status_code == 503


@pytest.mark.parametrize(("coding", "body"), UNREADABLE)
def test_an_unreadable_body_is_4xx_on_other_endpoints(coding: str, body: bytes) -> None:
    response = post(body, coding, url="actions", scope="edit")

    assert response.status_code == (415 if coding.startswith(("br", "zstd")) else 400)
    assert not Action.objects.exists()


def test_an_unreadable_body_is_not_treated_as_empty() -> None:
    run = factories.make_run(status="running")

    response = post(TRUNCATED, "gzip", url=f"runs/{run.pk}/cancel", scope="operate")

    run.refresh_from_db()
    assert (response.status_code, run.stop) == (400, "")
    assert "truncated" in response.json()["error"]["message"]


def test_a_body_shorter_than_its_length_is_503() -> None:
    client = factories.make_client("webhook")

    response = client.generic(
        "POST", "/api/v1/webhook/", BODY, "application/json", CONTENT_LENGTH=str(len(BODY) + 1)
    )

    assert response.status_code == 503
    assert "truncated" in response.json()["error"]["message"]


def test_the_error_names_an_unknown_coding() -> None:
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
def test_a_decompression_bomb_is_rejected_quickly(body: bytes) -> None:
    begin = time.process_time()

    response = post(body, "gzip")

    assert response.status_code == 413
    assert "32 MiB (decompressed)" in response.json()["error"]["message"]
    assert time.process_time() - begin < 3


def test_a_chunked_body_is_rejected_if_the_server_does_not_support_it() -> None:
    client = factories.make_client("webhook")

    response = client.post(
        "/api/v1/webhook/", BODY, "application/json", HTTP_TRANSFER_ENCODING="chunked"
    )

    assert response.status_code == 503
    assert "Send Content-Length" in response.json()["error"]["message"]
