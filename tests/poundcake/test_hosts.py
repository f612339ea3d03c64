"""Requests for a host name that ALLOWED_HOSTS does not contain."""

import pytest
from django.test import Client

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


@pytest.mark.parametrize("host", ["10.1.2.3:8000", "elsewhere.example.com", "[fd00::1]:8000"])
@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics"])
def test_probes_respond_under_any_host(path, host, settings):
    settings.SECURE_SSL_REDIRECT = True
    _, token = make_token(["read"])

    response = Client().get(path, headers={"Authorization": f"Bearer {token}", "Host": host})

    assert response.status_code == 200


def test_an_allowed_host_is_served(client):
    assert client.get("/healthz", headers={"Host": "localhost"}).status_code == 200


def test_with_ssl_redirect_pages_are_redirected_and_the_api_is_refused(settings):
    settings.SECURE_SSL_REDIRECT = True

    page = Client().get("/admin/")
    webhook = Client().post("/api/v1/webhook", {"alerts": []}, "application/json")
    behind_tls = Client().get("/admin/", headers={"X-Forwarded-Proto": "https"})

    assert (page.status_code, page["Location"]) == (301, "https://testserver/admin/")
    assert webhook.status_code == 503
    assert "https" in webhook.json()["error"]["message"]
    assert behind_tls["Location"].startswith("/admin/login/")
