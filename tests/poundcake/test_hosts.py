"""Requests for a host name that ALLOWED_HOSTS does not contain."""

import pytest

from tests.factories import make_token

pytestmark = pytest.mark.django_db


def test_a_webhook_for_a_host_that_is_not_allowed_gets_503_to_be_retried(client):
    _, token = make_token(["webhook"])

    response = client.post(
        "/api/v1/webhook",
        {"alerts": []},
        content_type="application/json",
        headers={"Authorization": f"Bearer {token}", "Host": "elsewhere.example.com"},
    )

    assert response.status_code == 503
    assert "ALLOWED_HOSTS" in response.json()["error"]["message"]


def test_a_page_returns_the_reason_as_plain_text(client):
    response = client.get("/admin/", headers={"Host": "elsewhere.example.com"})

    assert response.status_code == 503
    assert "ALLOWED_HOSTS" in response.content.decode()


def test_an_allowed_host_is_served(client):
    assert client.get("/healthz", headers={"Host": "localhost"}).status_code == 200
