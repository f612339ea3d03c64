"""Costly templates over the API and in the admin: refused or ended in time, naming the field."""

import json
import time
from itertools import count

import pytest
from django.contrib.auth.models import User
from django.test import Client

from remediation.engine.operations import simulation
from remediation.models import Bucket
from tests.factories import make_action, make_bucket, make_client, make_step

pytestmark = pytest.mark.django_db

NESTED = "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}"
LABELS = {"alertname": "HostDown", "instance": "web-01:9100"}
SECONDS = 60.0  # on a busy machine


def save(body):
    return make_client("edit").post(
        "/api/v1/buckets/", json.dumps(body), content_type="application/json"
    )


def bucket_of(*parameters):
    action = make_action()
    steps = [{"action": action.pk, "parameters": one} for one in parameters]
    return {"name": "large", "alert_name_pattern": "X", "steps": steps}


def simulate(bucket):
    body = {"labels": LABELS, "annotations": {}}
    return make_client("read").post(
        f"/api/v1/buckets/{bucket.pk}/simulate/", json.dumps(body), content_type="application/json"
    )


def test_4000_expressions_are_refused_within_two_seconds():
    body = bucket_of({f"p{number}": "{{ alert.instance }}" for number in range(4_000)})
    begun = time.process_time()

    response = save(body)

    assert time.process_time() - begun < 2.0
    assert response.status_code == 400
    (message,) = response.json()["error"]["fields"]["steps.0.parameters"]
    assert message.startswith("p1000: exceeds, with the preceding templates, 1000 expressions")
    assert not Bucket.objects.exists()


def test_many_large_steps_are_saved_or_refused_within_the_limit():
    texts = [f"{{{{ alert.instance }}}}{number}" for number in range(900)]
    body = bucket_of(*({str(place): text for text in texts} for place in range(3)))
    begun = time.monotonic()

    assert save(body).status_code == 201

    assert time.monotonic() - begun < SECONDS


def test_what_is_not_checked_in_time_is_refused_and_named(monkeypatch):
    monkeypatch.setattr("remediation.templating.budget.time.thread_time", count().__next__)
    body = bucket_of({"a": "{{ 1 }}"}, {"b": "{{ 1 }}"}, {"c": "{{ 1 }}"})

    response = save(body)

    assert response.status_code == 400
    fields = response.json()["error"]["fields"]
    assert "was not checked" in fields["steps.2.parameters"][0]


def test_a_costly_template_can_be_saved_for_it_is_not_evaluated():
    begun = time.monotonic()

    assert save(bucket_of({"message": NESTED})).status_code == 201

    assert time.monotonic() - begun < SECONDS


def test_simulate_ends_a_time_bomb_and_names_the_field():
    bucket = make_bucket()
    make_step(bucket, parameters={"fine": "{{ 1 + 1 }}", "message": NESTED})
    begun = time.monotonic()

    response = simulate(bucket)

    assert time.monotonic() - begun < SECONDS
    (step,) = response.json()["steps"]
    assert step["error"]["field"] == "message"
    assert step["error"]["message"].startswith("takes longer than 1 s")


def test_simulate_stops_rendering_when_the_steps_before_took_too_long(monkeypatch):
    monkeypatch.setattr(simulation, "SIMULATE_SECONDS", 0.0)
    bucket = make_bucket()
    for _ in range(2):
        make_step(bucket, parameters={"message": "{{ 1 + 1 }}"})

    steps = simulate(bucket).json()["steps"]

    assert [step["runs"] for step in steps] == [False, False]
    assert steps[0]["error"]["message"] == simulation.TOO_LATE


def test_the_admin_refuses_too_many_expressions_and_names_the_parameter():
    client = Client()
    client.force_login(User.objects.create_superuser("maria"))
    form = {
        "name": "large",
        "action_type": "stackstorm",
        "st2_action_ref": "core.local",
        "st2_parameters": json.dumps({"message": "{{ alert.instance }}" * 4_000}),
        "is_enabled": "on",
    }
    begun = time.process_time()

    response = client.post("/admin/remediation/action/add/", form)

    assert time.process_time() - begun < 2.0
    assert response.status_code == 200
    errors = response.context["adminform"].form.errors["st2_parameters"]
    assert errors[0].startswith("message: exceeds, with the preceding templates, 1000 expressions")
