"""Token authentication, and the responses to missing or invalid credentials."""

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
    response = Client(headers={"Authorization": header}).get(URL)
    return response.status_code, response.content.decode()


@pytest.mark.parametrize(
    "header",
    ["Bearer {}", "bearer {}", "Bearer   {}  "],
)
def test_a_bearer_token_is_accepted(header: str) -> None:
    _, text = factories.make_token(["read"])

    status, _ = get(header.format(text))

    assert status == 200


@pytest.mark.parametrize("username", ["", "alertmanager", "jürgen", "a b"])
def test_a_token_is_accepted_as_basic_password_of_any_user(username: str) -> None:
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
def test_invalid_credentials_are_rejected_and_not_logged(
    header: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        response = Client(headers={"Authorization": header}).get(URL)

    assert response.status_code == 401
    assert response["WWW-Authenticate"] == 'Bearer realm="PoundCake"'
    assert "create_token" in response.json()["error"]["message"]
    assert "wrong" not in response.content.decode() + caplog.text


@pytest.mark.parametrize(
    ("header", "text"),
    [
        ("Basic %%%", "Invalid Authorization header"),
        ("Token x", "Invalid Authorization header"),
        ("Bearer x", "unknown, expired or revoked"),
    ],
)
def test_the_error_distinguishes_invalid_headers_from_invalid_tokens(
    header: str, text: str
) -> None:
    _, body = get(header)

    assert text in body


@pytest.mark.parametrize("column", ["expires_at", "revoked_at"])
def test_expired_and_revoked_tokens_are_rejected(column: str) -> None:
    row, text = factories.make_token(["admin"])
    setattr(row, column, timezone.now() - datetime.timedelta(seconds=1))
    row.save()

    status, body = get(f"Bearer {text}")

    assert status == 401
    assert text not in body


def test_missing_credentials_are_rejected_with_help() -> None:
    response = Client().get(URL)

    assert response.status_code == 401
    assert response["WWW-Authenticate"]
    assert "create_token" in response.json()["error"]["message"]
