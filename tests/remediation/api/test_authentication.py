"""Tokens as Alertmanager sends them, and what is said to those without."""

from __future__ import annotations

import base64
import datetime
import logging

import pytest
from django.test import Client
from django.utils import timezone

from tests import factories

pytestmark = pytest.mark.django_db

URL = "/api/v1/actions/"


def basic(username: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{username}:{password}".encode()).decode()


def get(header: str) -> tuple[int, str]:
    answer = Client(headers={"Authorization": header}).get(URL)
    return answer.status_code, answer.content.decode()


@pytest.mark.parametrize(
    "header",
    ["Bearer {}", "bearer {}", "Bearer   {}  "],
)
def test_a_bearer_token_opens(header: str) -> None:
    _, text = factories.make_token(["read"])

    status, _ = get(header.format(text))

    assert status == 200


@pytest.mark.parametrize("username", ["", "alertmanager", "jürgen", "a b"])
def test_a_token_is_a_basic_password_of_any_user(username: str) -> None:
    _, text = factories.make_token(["read"])

    status, _ = get(basic(username, text))

    assert status == 200


@pytest.mark.parametrize(
    "header",
    [
        "Bearer wrong",
        "Bearer",
        "Bearer \u00ff\u00fe",
        "Token wrong",
        "Basic wrong",
        "Basic Og==",
        "Basic //8=",
        "Digest username=x",
        "x" * 10_000,
    ],
)
def test_other_credentials_are_refused_and_not_repeated(
    header: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        answer = Client(headers={"Authorization": header}).get(URL)

    assert answer.status_code == 401
    assert answer["WWW-Authenticate"] == 'Bearer realm="PoundCake"'
    assert "create_token" in answer.json()["error"]["message"]
    assert "wrong" not in answer.content.decode() + caplog.text


@pytest.mark.parametrize(
    ("header", "words"),
    [
        ("Basic %%%", "cannot be read"),
        ("Token x", "cannot be read"),
        ("Bearer x", "unknown, expired or revoked"),
    ],
)
def test_a_refusal_tells_a_bad_header_from_a_bad_token(header: str, words: str) -> None:
    _, body = get(header)

    assert words in body


@pytest.mark.parametrize("column", ["expires_at", "revoked_at"])
def test_an_ended_token_is_refused(column: str) -> None:
    row, text = factories.make_token(["admin"])
    setattr(row, column, timezone.now() - datetime.timedelta(seconds=1))
    row.save()

    status, body = get(f"Bearer {text}")

    assert status == 401
    assert text not in body


def test_no_credentials_are_refused_with_the_way_to_get_some() -> None:
    answer = Client().get(URL)

    assert answer.status_code == 401
    assert answer["WWW-Authenticate"]
    assert "create_token" in answer.json()["error"]["message"]
