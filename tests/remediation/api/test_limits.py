"""Definitions and queries have limits; each error names the field and the limit."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from django.contrib import admin
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from remediation.models import Alert, Bucket, BucketStep
from remediation.models import bucket as bucket_module
from remediation.models.text_lookups import SEARCH_LENGTH_MAX
from tests import factories

pytestmark = pytest.mark.django_db

MILLION = "x" * 1_000_000
LISTS = ["actions", "buckets", "steps", "alerts", "runs", "executions", "transitions", "requests"]
SECONDS = 10.0  # generous, for a busy machine


def send(method: str, path: str, body: Any) -> Any:
    return factories.make_client("edit").generic(
        method, f"/api/v1/{path}", json.dumps(body), content_type="application/json"
    )


def errors_of(body: dict[str, Any]) -> dict[str, list[str]]:
    response = send("POST", "buckets/", {"name": "b", "alert_name_pattern": "X"} | body)
    assert response.status_code == 400
    fields: dict[str, list[str]] = response.json()["error"]["fields"]
    return fields


def test_a_bucket_has_at_most_100_steps() -> None:
    action = factories.make_local_action()
    steps = [{"action": action.pk}] * 100

    assert "at most 100 steps" in errors_of({"steps": [*steps, {"action": action.pk}]})["steps"][0]
    created = send("POST", "buckets/", {"name": "b", "alert_name_pattern": "X", "steps": steps})
    assert created.status_code == 201
    bucket = created.json()["id"]
    added = send("POST", "steps/", {"bucket": bucket, "action": action.pk})
    assert added.status_code == 400
    assert "at most 100 steps" in added.json()["error"]["fields"]["steps"][0]
    assert BucketStep.objects.count() == 100


def test_a_body_of_many_steps_is_refused_quickly() -> None:
    begin = time.process_time()

    errors_of({"steps": [{}] * 200_000})

    assert time.process_time() - begin < SECONDS


def test_steps_of_sql_rows_are_not_limited() -> None:
    bucket = factories.make_step().bucket
    BucketStep.objects.bulk_create(
        BucketStep(bucket=bucket, action=bucket.steps.get().action, step_order=order)
        for order in range(2, 103)
    )

    assert len(factories.make_run(bucket).plan.steps) == 102


def test_the_number_of_buckets_is_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bucket_module, "BUCKETS_MAX", 1)
    bucket = factories.make_step().bucket
    body = {"name": "b", "alert_name_pattern": "X", "is_enabled": False}

    refused = send("POST", "buckets/", body)

    assert refused.status_code == 400
    assert "There are 1 buckets" in refused.json()["error"]["message"]
    assert send("PATCH", f"buckets/{bucket.pk}/", {"priority": 7}).status_code == 200
    assert Bucket.objects.count() == 1


@pytest.mark.parametrize(
    ("body", "field", "limit"),
    [
        ({"alert_name_pattern": "x" * 501}, "alert_name_pattern", "500"),
        ({"label_matchers": f'a="{"x" * 10_000}"'}, "label_matchers", "10000"),
        ({"label_matchers": ", ".join(f'a{n}="x"' for n in range(51))}, "label_matchers", "50"),
        ({"group_by": "a" * 1_001}, "group_by", "1000"),
        ({"description": "a" * 10_001}, "description", "10000"),
        ({"steps": [{"action": 1, "condition": "1 and " * 2_000}]}, "steps.0.condition", "10000"),
    ],
)
def test_the_texts_of_a_bucket_are_limited(body: dict[str, Any], field: str, limit: str) -> None:
    factories.make_action(pk=1)

    (text,) = errors_of(body)[field]

    assert limit in text


def test_an_error_names_few_unknown_fields_and_quotes_little() -> None:
    response = send("POST", "buckets/", {f"x{n}": 1 for n in range(50_000)} | {"y" * 5_000: 1})
    fields = response.json()["error"]["fields"]
    assert "49981 more fields are unknown." in response.json()["error"]["message"]
    assert len(fields) < 30
    assert len(response.content) < 20_000

    response = send("POST", "buckets/", {"on_resolved": MILLION})
    assert len(response.content) < 20_000


@pytest.mark.parametrize("name", LISTS)
def test_a_filter_value_of_a_million_characters_is_refused(name: str) -> None:
    client = factories.make_client("read")
    names = parameters_of(name)

    assert {"cursor", "page_size", "ordering"} < set(names)
    for parameter in names:
        response = client.get(f"/api/v1/{name}/", {parameter: MILLION})

        assert response.status_code == 400, parameter
        (text,) = response.json()["error"]["fields"][parameter]
        assert "characters: shorten it" in text
        assert len(response.content) < 2_000


def parameters_of(name: str) -> list[str]:
    """Return all query parameters of a list."""
    response = factories.make_client("read").get(f"/api/v1/{name}/", {"nope": 1})
    text: str = response.json()["error"]["fields"]["nope"][0]
    return text.partition("Known parameters: ")[2].rstrip(".").split(", ")


def test_the_number_of_values_of_a_filter_is_limited() -> None:
    client = factories.make_client("read")

    query = {"status": ["failure"] * 51, "page_size": ["x"], "y": ["1"]}
    response = client.get("/api/v1/runs/", query)

    fields = response.json()["error"]["fields"]
    assert fields["status"] == ["There are 51 values, the limit is 50."]
    assert set(fields) == {"status", "page_size", "y"}
    assert client.get("/api/v1/runs/", {"status": ["failure"] * 50}).status_code == 200


def test_all_wrong_parameters_of_a_list_are_in_one_response() -> None:
    response = factories.make_client("read").get(
        "/api/v1/runs/",
        {"alert": "x", "created_since": "x", "ordering": "x", "cursor": "x", "nope": "x"},
    )

    assert set(response.json()["error"]["fields"]) == {
        "alert",
        "created_since",
        "ordering",
        "cursor",
        "nope",
    }


@pytest.fixture
def operator(client: Client) -> Client:
    client.force_login(User.objects.create_superuser("ada"))
    return client


SEARCHED = [model for model, options in admin.site._registry.items() if options.search_fields]


def search(operator: Client, model: Any, text: str) -> tuple[bool, int]:
    """Return whether the search is refused, and the size of the page."""
    url = reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")
    response = operator.get(url, {"q": text})
    assert response.status_code == 200
    is_refused = "a search has at most 1000 characters" in response.content.decode()
    return is_refused, len(response.content)


def test_every_search_of_the_admin_is_limited(operator: Client) -> None:
    assert len(SEARCHED) >= 10
    for model in SEARCHED:
        assert search(operator, model, "x" * SEARCH_LENGTH_MAX)[0] is False, model
        assert search(operator, model, "x" * (SEARCH_LENGTH_MAX + 1))[0] is True, model


@pytest.mark.slow
def test_a_search_of_a_million_characters_shows_an_error(operator: Client) -> None:
    is_refused, size = search(operator, Alert, MILLION)

    assert is_refused
    assert size < 2 * len(MILLION)  # the page does not repeat it in each link
