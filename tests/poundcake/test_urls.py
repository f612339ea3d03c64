"""URLs: the home page, and errors as JSON for the API and as pages for browsers."""

import logging

import pytest
from django.core.management import call_command
from django.test import Client
from django.urls import path
from drf_spectacular.drainage import GENERATOR_STATS

from poundcake import urls
from tests import factories


def fail(_request):
    raise RuntimeError("secret detail")


def read_body(request):
    return request.body


urlpatterns = [
    path("api/v1/fail", fail),
    path("pages/fail", fail),
    path("api/v1/read", read_body),
    *urls.urlpatterns,
]
handler400, handler404, handler500 = urls.handler400, urls.handler404, urls.handler500


def test_the_home_page_redirects_to_the_admin():
    response = Client().get("/")

    assert (response.status_code, response["Location"]) == (302, "/admin/")


@pytest.mark.django_db
@pytest.mark.urls(__name__)
def test_an_internal_error_of_the_api_is_json_without_details():
    client = Client(raise_request_exception=False)

    response = client.get("/api/v1/fail")

    assert response.status_code == 500
    assert response.json()["error"]["code"] == "internal"
    assert response.json()["request_id"] == response["X-Request-ID"]
    assert "secret detail" not in response.content.decode()


@pytest.mark.urls(__name__)
def test_an_internal_error_of_a_page_is_html():
    response = Client(raise_request_exception=False).get("/pages/fail")

    assert response.status_code == 500
    assert response["Content-Type"].startswith("text/html")


@pytest.mark.django_db
@pytest.mark.urls(__name__)
def test_a_body_that_django_refuses_as_too_large_is_json():
    response = factories.make_client("admin").post(
        "/api/v1/read", b"x" * (33 * 2**20), content_type="application/octet-stream"
    )

    assert response.status_code == 413
    assert response.json()["error"]["code"] == "too_large"


def test_an_unknown_page_is_html():
    response = Client().get("/nowhere/")

    assert response.status_code == 404
    assert response["Content-Type"].startswith("text/html")


@pytest.mark.django_db
def test_an_internal_error_of_the_api_is_logged_with_its_traceback(monkeypatch, caplog):
    monkeypatch.setattr("remediation.engine.operations.explanation.explain", fail)
    alert = factories.make_alert()

    with caplog.at_level(logging.ERROR):
        response = factories.make_client("read").get(f"/api/v1/alerts/{alert.pk}/explanation/")

    assert response.status_code == 500
    assert "secret detail" not in response.content.decode()
    assert "RuntimeError: secret detail" in caplog.text


def test_the_schema_is_complete(tmp_path):
    GENERATOR_STATS.reset()

    call_command(
        "spectacular",
        validate=True,
        fail_on_warn=True,
        file=str(tmp_path / "schema.yml"),
    )

    text = (tmp_path / "schema.yml").read_text()
    assert "/api/v1/webhook/:" in text
    assert "on_resolved" in text


@pytest.mark.django_db
def test_the_api_documentation_loads_nothing_from_other_hosts():
    response = factories.make_client("read").get("/api/v1/docs/")

    assert response.status_code == 200
    assert "cdn" not in response.content.decode()
    assert "drf_spectacular_sidecar" in response.content.decode()
