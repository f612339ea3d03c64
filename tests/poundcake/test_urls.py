"""Addresses: where home is, and that faults are told in the words of who asked."""

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


def test_home_is_admin():
    answer = Client().get("/")

    assert (answer.status_code, answer["Location"]) == (302, "/admin/")


@pytest.mark.django_db
@pytest.mark.urls(__name__)
def test_a_fault_of_ours_is_json_for_programs_and_keeps_its_detail():
    client = Client(raise_request_exception=False)

    answer = client.get("/api/v1/fail")

    assert answer.status_code == 500
    assert answer.json()["error"]["code"] == "internal"
    assert answer.json()["request_id"] == answer["X-Request-ID"]
    assert "secret detail" not in answer.content.decode()


@pytest.mark.urls(__name__)
def test_a_fault_of_ours_is_a_page_for_people():
    answer = Client(raise_request_exception=False).get("/pages/fail")

    assert answer.status_code == 500
    assert answer["Content-Type"].startswith("text/html")


@pytest.mark.django_db
@pytest.mark.urls(__name__)
def test_a_body_that_django_refuses_is_too_large_in_json():
    answer = Client().post(
        "/api/v1/read", b"x" * (33 * 2**20), content_type="application/octet-stream"
    )

    assert answer.status_code == 413
    assert answer.json()["error"]["code"] == "too_large"


def test_an_unknown_page_is_a_page():
    answer = Client().get("/nowhere/")

    assert answer.status_code == 404
    assert answer["Content-Type"].startswith("text/html")


@pytest.mark.django_db
def test_an_unexpected_error_in_the_api_is_logged_with_its_trace(monkeypatch, caplog):
    monkeypatch.setattr("remediation.engine.operations.explanation.explain", fail)
    alert = factories.make_alert()

    with caplog.at_level(logging.ERROR):
        answer = factories.make_client("read").get(f"/api/v1/alerts/{alert.pk}/explanation/")

    assert answer.status_code == 500
    assert "secret detail" not in answer.content.decode()
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
def test_the_documentation_loads_nothing_from_elsewhere():
    answer = factories.make_client("read").get("/api/v1/docs/")

    assert answer.status_code == 200
    assert "cdn" not in answer.content.decode()
    assert "drf_spectacular_sidecar" in answer.content.decode()
