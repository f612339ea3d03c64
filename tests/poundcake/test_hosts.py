"""A host name that the settings do not allow."""

import pytest

from tests.factories import make_token

pytestmark = pytest.mark.django_db


def test_a_webhook_for_a_host_that_is_not_allowed_is_tried_again_later(client):
    _, token = make_token(["webhook"])

    answer = client.post(
        "/api/v1/webhook",
        {"alerts": []},
        content_type="application/json",
        headers={"Authorization": f"Bearer {token}", "Host": "elsewhere.example.com"},
    )

    assert answer.status_code == 503
    assert "ALLOWED_HOSTS" in answer.json()["error"]["message"]


def test_a_page_says_so_in_plain_text(client):
    answer = client.get("/admin/", headers={"Host": "elsewhere.example.com"})

    assert answer.status_code == 503
    assert "ALLOWED_HOSTS" in answer.content.decode()


def test_an_allowed_host_is_served(client):
    assert client.get("/healthz", headers={"Host": "localhost"}).status_code == 200
