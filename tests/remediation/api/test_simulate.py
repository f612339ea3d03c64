"""API of simulation."""

from __future__ import annotations

import json
from typing import Any

import pytest

from remediation.models import Action, Alert, BucketRun, BucketVersion, ConfigValue, Transition
from tests import factories

pytestmark = pytest.mark.django_db

LABELS = {"alertname": "HostDown", "instance": "server-01:9100"}


class Reader:
    """A JSON client with the scope read."""

    def __init__(self) -> None:
        self.client = factories.make_client("read")

    def __call__(self, bucket: Any, **body: Any) -> tuple[int, Any]:
        url = f"/api/v1/buckets/{bucket.pk}/simulate/"
        response = self.client.post(url, json.dumps(body), content_type="application/json")
        return response.status_code, response.json()


@pytest.fixture
def simulate() -> Reader:
    return Reader()


def make_bucket(*steps: dict[str, Any], **columns: Any) -> Any:
    """Create a bucket with these steps of core.local, which has a plain runner."""
    bucket = factories.make_bucket(**columns)
    for step in steps:
        factories.make_step(bucket, factories.make_action(st2_runner="local-shell-cmd"), **step)
    return bucket


def test_a_simulation_returns_parameters_and_stores_nothing(simulate: Reader) -> None:
    bucket = make_bucket(
        {"name": "ping", "parameters": {"cmd": "ping {{ alert.instance | host | quote }}"}},
        name="b",
    )

    status, response = simulate(bucket, labels=LABELS)

    assert status == 200
    assert response["explanation"] == {
        "bucket": bucket.pk,
        "bucket_name": "b",
        "trigger_on": "firing",
        "outcome": "matched",
        "reason": "matches the alert",
    }
    assert response["problem"] == ""
    assert response["steps"] == [
        {
            "step_order": 1,
            "name": "ping",
            "action_type": "stackstorm",
            "action_ref": "core.local",
            "run_when": "success",
            "runs": True,
            "reason": "",
            "condition_holds": None,
            "parameters": {"cmd": "ping 'server-01'"},
            "error": None,
        }
    ]
    for model in (Alert, BucketRun, BucketVersion, Transition):
        assert not model.objects.exists()


def test_the_reason_names_the_failing_matcher(simulate: Reader) -> None:
    bucket = make_bucket({}, label_matchers='severity="page"')

    _, response = simulate(bucket, labels=LABELS)

    assert response["explanation"]["outcome"] == "not_matched"
    assert response["explanation"]["reason"] == 'severity="page" does not match a missing label'
    assert response["steps"][0]["parameters"] == {}


def test_an_earlier_bucket_can_take_the_alert(simulate: Reader) -> None:
    make_bucket({}, name="first", priority=1)

    _, response = simulate(make_bucket({}), labels=LABELS)

    assert response["explanation"]["outcome"] == "not_reached"
    assert "matching stopped at bucket 'first'" in response["explanation"]["reason"]


def test_a_stored_alert_can_be_simulated(simulate: Reader) -> None:
    alert = factories.make_alert(annotations={"summary": "it is down"})
    bucket = make_bucket({"parameters": {"text": "{{ alert.annotations.summary }}"}})

    _, response = simulate(bucket, alert=alert.pk)

    assert response["steps"][0]["parameters"] == {"text": "it is down"}


def test_a_failing_template_is_reported_by_field(simulate: Reader) -> None:
    bucket = make_bucket({"parameters": {"env": {"TEAM": "{{ alert.labels.team }}"}}}, {})

    _, response = simulate(bucket, labels=LABELS)

    first, second = response["steps"]
    assert first["parameters"] is None
    assert first["error"]["field"] == "env.TEAM"
    assert first["error"]["message"].startswith("alert.labels.team is not defined")
    assert second["error"] is None


def test_results_of_earlier_steps_can_be_set(simulate: Reader) -> None:
    check = {"name": "check", "on_failure": "continue"}
    step = {
        "parameters": {"text": "{{ steps.check.result.stdout }}"},
        "condition": "steps.check.status == 'failure'",
    }
    bucket = make_bucket(check, step)
    results = {"check": {"status": "failure", "result": {"stdout": "97 %"}}}

    _, without = simulate(bucket, labels=LABELS)
    _, response = simulate(bucket, labels=LABELS, steps=results)

    assert without["steps"][1]["runs"] is False
    assert without["steps"][1]["reason"] == (
        "the condition steps.check.status == 'failure' does not hold"
    )
    assert response["steps"][1]["condition_holds"] is True
    assert response["steps"][1]["parameters"] == {"text": "97 %"}


def test_a_missing_result_is_undefined(simulate: Reader) -> None:
    read = {"parameters": {"text": "{{ steps.check.result.stdout }}"}}
    bucket = make_bucket({"name": "check"}, read)

    _, response = simulate(bucket, labels=LABELS)

    message = response["steps"][1]["error"]["message"]
    assert message.startswith("steps.check.result is not defined")
    assert response["steps"][1]["runs"] is False


def test_a_result_of_an_unknown_step_is_rejected(simulate: Reader) -> None:
    bucket = make_bucket({"name": "ping"})

    status, response = simulate(bucket, labels=LABELS, steps={"check": {}})

    assert status == 400
    assert "The bucket has no step check; its steps are ping." in json.dumps(response)


def test_a_skipped_step_has_a_reason(simulate: Reader) -> None:
    repair = {"name": "repair", "condition": "alert.labels.alertname == 'DiskFull'"}
    bucket = make_bucket(repair, {"name": "page", "run_when": "failure"}, {"name": "note"})

    _, response = simulate(bucket, labels=LABELS)

    assert [(step["name"], step["runs"], step["reason"]) for step in response["steps"]] == [
        ("repair", False, "the condition alert.labels.alertname == 'DiskFull' does not hold"),
        ("page", False, "nothing failed and this step runs only after a failure"),
        ("note", True, ""),
    ]
    assert response["steps"][0]["parameters"] is None


def test_secrets_are_masked(simulate: Reader, settings: Any) -> None:
    settings.CONFIG_SECRETS = {"key": "s3cr3t-value"}
    ConfigValue.objects.create(key="host", value="db")
    bucket = make_bucket(
        {"parameters": {"url": "{{ config.host }}/{{ config.key[::-1] }}", "token": "x"}}
    )

    _, response = simulate(bucket, labels=LABELS)

    assert "s3cr3t-value" not in json.dumps(response)
    assert response["steps"][0]["parameters"]["url"] == "********"
    assert response["steps"][0]["parameters"]["token"] != "x"


def test_a_workflow_is_simulated_without_creating_its_action(simulate: Reader) -> None:
    bucket = factories.make_bucket(
        use_stackstorm=True,
        st2_workflow_name="remediation.host_down",
        st2_workflow_params={"host": "{{ alert.instance | host }}"},
    )

    _, response = simulate(bucket, labels=LABELS)

    (step,) = response["steps"]
    assert (step["step_order"], step["action_ref"]) == (0, "remediation.host_down")
    assert step["parameters"] == {"host": "server-01"}
    assert not Action.objects.exists()


def test_a_local_action_has_rendered_parameters(simulate: Reader) -> None:
    bucket = factories.make_bucket()
    factories.make_step(
        bucket, factories.make_local_action(), parameters={"message": "{{ alert.alert_name }}"}
    )

    _, response = simulate(bucket, labels=LABELS)

    assert response["steps"][0]["action_type"] == "log_event"
    assert response["steps"][0]["parameters"] == {"message": "HostDown"}


@pytest.mark.parametrize("columns", [{}, {"is_enabled": False}])
def test_a_bucket_that_cannot_run_has_a_problem(simulate: Reader, columns: dict[str, Any]) -> None:
    _, response = simulate(factories.make_bucket(**columns), labels=LABELS)

    assert "no steps" in response["problem"]
    assert response["explanation"]["outcome"] == ("disabled" if columns else "matched")


@pytest.mark.parametrize(
    ("body", "field", "text"),
    [
        ({}, "labels", "id of an alert"),
        ({"alert": 1, "labels": LABELS}, "alert", "There is no alert"),
        ({"labels": []}, "labels", "dictionary"),
        ({"labels": {}}, "labels", "at least one label"),
        ({"labels": {"alertname": [7]}}, "labels", "labels.alertname"),
        ({"labels": LABELS, "annotations": "x"}, "annotations", "dictionary"),
        ({"labels": LABELS, "steps": {"a": 1}}, "steps.a", "dictionary"),
        ({"labels": LABELS, "steps": {"a": {"status": "odd"}}}, "steps.a.status", "odd"),
        ({"labels": LABELS, "steps": {"a": {"exit": 1}}}, "steps.a.exit", "Unknown field"),
        ({"labels": LABELS, "nope": 1}, "nope", "Unknown field"),
    ],
)
def test_invalid_requests_are_rejected_by_field(
    simulate: Reader, body: dict[str, Any], field: str, text: str
) -> None:
    status, response = simulate(make_bucket({}), **body)

    assert status == 400
    assert text in " ".join(response["error"]["fields"][field])


def test_an_alert_and_labels_together_are_rejected(simulate: Reader) -> None:
    status, response = simulate(make_bucket({}), alert=factories.make_alert().pk, labels=LABELS)

    assert (status, list(response["error"]["fields"])) == (400, ["labels"])
