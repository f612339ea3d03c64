"""Smoke test: open the list, search, add, change and history pages of every model in admin."""

from __future__ import annotations

import pytest
from django.contrib import admin
from django.contrib.auth.models import Group, User
from django.db.models import Model
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from audit.models import ApiCall
from remediation.models import ConfigValue, Pause, Transition
from tests.factories import make_execution, make_token

pytestmark = pytest.mark.slow

MODELS = sorted(admin.site._registry, key=lambda model: model._meta.label)
by_label = pytest.mark.parametrize("model", MODELS, ids=lambda model: model._meta.label)


@pytest.fixture
def operator(db: None) -> Client:
    client = Client()
    client.force_login(User.objects.create_superuser("maria"))
    return client


@pytest.fixture
def one_of_each(db: None) -> None:
    execution = make_execution()
    Transition.objects.create(
        at=timezone.now(),
        subject_type="execution",
        subject_id=execution.pk,
        run_id=execution.run_id,
        request_id=execution.request_id,
        to_status="pending",
        actor="system",
    )
    make_token(["read"])
    ConfigValue.objects.create(key="channel", value="#alerts")
    Pause.objects.create(reason="maintenance", actor="maria", created_at=timezone.now())
    Group.objects.get_or_create(name="operators")
    now = timezone.now()
    ApiCall.objects.create(
        request_id="call-1",
        method="GET",
        path="/api/v1/alerts",
        status_code=200,
        processing_time_ms=1.5,
        created_at=now,
        completed_at=now,
    )


def page(model: type[Model], name: str, *arguments: object) -> str:
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_{name}", args=arguments)


@by_label
def test_list_opens_and_searches(operator: Client, one_of_each: None, model: type[Model]) -> None:
    for query in ({}, {"q": "server-01"}, {"q": "<script>alert(1)</script>"}):
        response = operator.get(page(model, "changelist"), query)

        assert response.status_code == 200
        assert b"<script>alert" not in response.content


@by_label
def test_empty_list_opens(operator: Client, model: type[Model]) -> None:
    assert operator.get(page(model, "changelist")).status_code == 200


@by_label
def test_add_page_opens_or_is_forbidden(operator: Client, model: type[Model]) -> None:
    may_add = admin.site.get_model_admin(model).has_add_permission(
        operator.get(page(model, "changelist")).wsgi_request
    )

    response = operator.get(page(model, "add"))

    assert response.status_code == (200 if may_add else 403)


@by_label
@pytest.mark.parametrize("name", ["change", "history"])
def test_pages_of_a_row_open(
    operator: Client, one_of_each: None, model: type[Model], name: str
) -> None:
    row = model._default_manager.order_by("pk").last()
    assert row is not None

    response = operator.get(page(model, name, row.pk))

    assert response.status_code == 200


@by_label
def test_page_of_a_missing_row_redirects(operator: Client, model: type[Model]) -> None:
    for pk in (999_999, "nonsense"):
        response = operator.get(page(model, "change", pk))

        assert response.status_code == 302


def test_index_links_failures_and_the_api_documentation(operator: Client) -> None:
    response = operator.get(reverse("admin:index"))

    content = response.content.decode()
    assert reverse("audit:failures") in content
    assert reverse("docs") in content
    assert "PoundCake" in content


def test_queue_models_are_not_registered() -> None:
    assert not [model for model in MODELS if model._meta.app_label == "django_q"]
