"""A definition that a reader received cannot be saved with its masks."""

from __future__ import annotations

import json
from typing import Any

import pytest

from remediation.models import Bucket
from tests.factories import make_action, make_bucket, make_client, make_step

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(
    ("columns", "field", "place"),
    [
        ({"parameters": {"password": "Tr0ub4dor"}}, "steps.0.parameters", "password contains"),
        ({"parameters": {"env": [{"API_TOKEN": "x" * 9}]}}, "steps.0.parameters", "API_TOKEN con"),
        ({"parameters": {"url": "https://u:pass@h/x"}}, "steps.0.parameters", "url contains"),
        ({"label_matchers": 'api_token="Tr0ub4dor"'}, "label_matchers", "This contains"),
    ],
)
def test_the_mask_of_a_value_is_refused(columns: dict[str, Any], field: str, place: str) -> None:
    bucket = make_bucket(**{name: columns[name] for name in columns if name != "parameters"})
    make_step(bucket, make_action(), parameters=columns.get("parameters", {}))
    url = f"/api/v1/buckets/{bucket.pk}/"
    shown = make_client("read").get(url).json()
    body = {
        "label_matchers": shown["label_matchers"],
        "steps": [
            {"action": step["action"], "parameters": step["parameters"]} for step in shown["steps"]
        ],
    }

    response = make_client("edit").patch(url, json.dumps(body), content_type="application/json")

    assert response.status_code == 400, response.content
    [message] = response.json()["error"]["fields"][field]
    assert message.startswith(place)
    assert "enter the value itself" in message
    assert "********" not in json.dumps(
        [bucket.steps.get().parameters, Bucket.objects.get().label_matchers]
    )
