"""Expensive templates in the API and admin are rejected or stopped, with the field's name."""

import json
import time
from itertools import count

import pytest
from django.contrib.auth.models import User
from django.test import Client

from remediation.engine.operations import simulation
from remediation.models import Bucket
from tests.factories import make_action, make_bucket, make_client, make_step

pytestmark = [pytest.mark.django_db, pytest.mark.slow]

NESTED = "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}"
LABELS = {"alertname": "HostDown", "instance": "web-01:9100"}
SECONDS = 60.0  # generous, for a busy machine


def save(body):
    return make_client("edit").post(
        "/api/v1/buckets/", json.dumps(body), content_type="application/json"
    )


def bucket_body(*parameters):
    action = make_action()
    steps = [{"action": action.pk, "parameters": values} for values in parameters]
    return {"name": "large", "alert_name_pattern": "X", "steps": steps}


def simulate(bucket):
    body = {"labels": LABELS, "annotations": {}}
    return make_client("read").post(
        f"/api/v1/buckets/{bucket.pk}/simulate/", json.dumps(body), content_type="application/json"
    )


def test_4000_expressions_are_rejected_within_two_seconds():
    body = bucket_body({f"p{number}": "{{ alert.instance }}" for number in range(4_000)})
    begin = time.process_time()

    response = save(body)

    assert time.process_time() - begin < 2.0
    assert response.status_code == 400
    (message,) = response.json()["error"]["fields"]["steps.0.parameters"]
    assert message.startswith("p1000: exceeds, with the preceding templates, 1000 expressions")
    assert not Bucket.objects.exists()


def test_many_large_steps_are_saved_within_the_limit():
    texts = [f"{{{{ alert.instance }}}}{number}" for number in range(900)]
    body = bucket_body(*({str(index): text for text in texts} for index in range(3)))
    begin = time.monotonic()

    assert save(body).status_code == 201

    assert time.monotonic() - begin < SECONDS


def test_templates_not_checked_in_time_are_rejected_by_field(monkeypatch):
    monkeypatch.setattr("remediation.templating.budget.time.thread_time", count().__next__)
    body = bucket_body({"a": "{{ 1 }}"}, {"b": "{{ 1 }}"}, {"c": "{{ 1 }}"})

    response = save(body)

    assert response.status_code == 400
    fields = response.json()["error"]["fields"]
    assert "was not checked" in fields["steps.2.parameters"][0]


def test_an_expensive_template_can_be_saved_without_evaluation():
    begin = time.monotonic()

    assert save(bucket_body({"message": NESTED})).status_code == 201

    assert time.monotonic() - begin < SECONDS


def test_simulate_stops_an_endless_template_and_names_the_field():
    bucket = make_bucket()
    make_step(bucket, parameters={"fine": "{{ 1 + 1 }}", "message": NESTED})
    begin = time.monotonic()

    response = simulate(bucket)

    assert time.monotonic() - begin < SECONDS
    (step,) = response.json()["steps"]
    assert step["error"]["field"] == "message"
    assert step["error"]["message"].startswith("takes longer than 1 s")


def test_simulate_stops_rendering_after_its_time_limit(monkeypatch):
    monkeypatch.setattr(simulation, "SIMULATE_SECONDS", 0.0)
    bucket = make_bucket()
    for _ in range(2):
        make_step(bucket, parameters={"message": "{{ 1 + 1 }}"})

    steps = simulate(bucket).json()["steps"]

    assert [step["runs"] for step in steps] == [False, False]
    assert steps[0]["error"]["message"] == simulation.TOO_LATE


def test_the_admin_rejects_too_many_expressions_by_parameter():
    client = Client()
    client.force_login(User.objects.create_superuser("maria"))
    form = {
        "name": "large",
        "action_type": "stackstorm",
        "st2_action_ref": "core.local",
        "st2_parameters": json.dumps({"message": "{{ alert.instance }}" * 4_000}),
        "is_enabled": "on",
    }
    begin = time.process_time()

    response = client.post("/admin/remediation/action/add/", form)

    assert time.process_time() - begin < 2.0
    assert response.status_code == 200
    errors = response.context["adminform"].form.errors["st2_parameters"]
    assert errors[0].startswith("message: exceeds, with the preceding templates, 1000 expressions")
