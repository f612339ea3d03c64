"""One response lists all mistakes of a body, with the path of each."""

from __future__ import annotations

import json
from typing import Any

import pytest

from remediation.models import Action, Bucket
from tests import factories

pytestmark = pytest.mark.django_db


def errors_of(method: str, path: str, body: Any, *, scope: str = "edit") -> dict[str, list[str]]:
    """Return the fields of a 400."""
    response = factories.make_client(scope).generic(
        method, f"/api/v1/{path}", json.dumps(body), content_type="application/json"
    )
    assert response.status_code == 400, response.content
    fields: dict[str, list[str]] = response.json()["error"]["fields"]
    return fields


def test_a_bucket_with_mistakes_of_every_kind() -> None:
    action = factories.make_action(name="restart_nginx")
    body = {
        "name": "",
        "nope": 1,
        "priority": "high",
        "alert_name_pattern": "(",
        "label_matchers": "severity",
        "description": "\x00",
        "steps": [
            {"action": action.pk, "parameters": {"a": "{{ nope }}"}, "condition": "nope"},
            {"action_name": "restart_nginks", "max_attempts": 0, "nope": 1},
            7,
            {"action": action.pk, "parameters": {"a": "{{ nope }}"}, "name": 7},
            {"action": action.pk, "name": "\x00"},
            {"action": action.pk},
        ],
    }

    fields = errors_of("POST", "buckets/", body)

    assert set(fields) == {
        "name",
        "nope",
        "priority",
        "alert_name_pattern",
        "label_matchers",
        "description",
        "steps.0.parameters",
        "steps.0.condition",
        "steps.1.action_name",
        "steps.1.max_attempts",
        "steps.1.nope",
        "steps.2",
        "steps.3.parameters",
        "steps.3.name",
        "steps.4.name",
    }
    assert all(len(texts) == 1 for texts in fields.values())
    assert not Bucket.objects.exists()


def test_mistakes_that_only_the_models_find_are_in_one_response_too() -> None:
    action = factories.make_action()
    steps = [{"action": action.pk, "condition": "nope"}, {"action": action.pk, "condition": "{{"}]

    fields = errors_of("POST", "buckets/", {"name": "b", "steps": steps, "use_stackstorm": True})

    assert set(fields) == {
        "alert_name_pattern",
        "st2_workflow_name",
        "steps",
        "steps.0.condition",
        "steps.1.condition",
    }


def test_an_action_with_mistakes_of_every_kind() -> None:
    body = {
        "name": 7,
        "st2_action_ref": "nodot",
        "st2_parameters": {"a": "{{ alert.nope }}"},
        "nope": 1,
    }

    assert set(errors_of("POST", "actions/", body)) == {*body}


def test_a_mapping_that_breaks_its_steps_is_reported_with_other_mistakes() -> None:
    action = factories.make_action(st2_parameters={"hosts": "{{ parameters.host }}"})
    factories.make_step(action=action, parameters={"host": "{{ alert.instance }}"})
    body = {"name": "", "st2_parameters": {"cmd": "ping {{ parameters.host }}"}}

    assert set(errors_of("PATCH", f"actions/{action.pk}/", {**body, "name": "x"})) == {
        "st2_parameters"
    }


def test_fields_that_depend_on_an_invalid_field_are_not_blamed() -> None:
    body = {"name": "a", "use_stackstorm": "maybe", "action_type": "ping"}

    assert set(errors_of("POST", "actions/", body)) == {"use_stackstorm"}


def test_a_patch_with_several_mistakes_does_not_change_the_row() -> None:
    step = factories.make_step()

    fields = errors_of(
        "PATCH", f"steps/{step.pk}/", {"max_attempts": 99, "condition": "nope", "bucket": 0}
    )

    assert set(fields) == {"max_attempts", "condition", "bucket"}


@pytest.mark.parametrize(
    ("path", "body", "names"),
    [
        ("pause/", {"expires_at": "2020-01-01T00:00:00Z", "x": 1}, {"reason", "expires_at", "x"}),
        ("pause/", {"reason": "r", "for_seconds": "5", "x": 1}, {"for_seconds", "x"}),
        ("runs/1/cancel/", {"stop": "now", "x": 1}, {"stop", "reason", "x"}),
        ("runs/1/retry/", {"from": 7, "x": 1}, {"from", "x"}),
        ("executions/1/set-outcome/", {"status": "done", "x": 1}, {"status", "reason", "x"}),
        ("buckets/1/run/", {"alert": "1", "x": 1}, {"alert", "x"}),
        ("alerts/1/retry/", {"x": 1, "y": 1}, {"x", "y"}),
        (
            "buckets/1/simulate/",
            {"labels": {"a": {}}, "steps": {"nope": {}}, "x": 1},
            {"labels", "steps", "x"},
        ),
        ("stackstorm/webhook/", {"execution_id": 7, "data": {"trace_tag": 7}}, None),
    ],
)
def test_operations_list_all_mistakes(path: str, body: Any, names: set[str] | None) -> None:
    bucket = factories.make_step(factories.make_bucket(pk=1)).bucket
    run = factories.make_run(bucket, factories.make_alert(pk=1), pk=1)
    factories.make_execution(run, pk=1)

    fields = errors_of("POST", path, body, scope="admin")

    assert set(fields) == (names or {"execution_id", "data.trace_tag"})


def test_near_matches_of_an_unknown_action_are_listed() -> None:
    for name in ("restart_nginx", "restart_redis", "disk_cleanup"):
        factories.make_action(name=name)
    bucket = factories.make_bucket()

    near = errors_of("POST", "steps/", {"bucket": bucket.pk, "action_name": "restart_ngnix"})
    far = errors_of("POST", "steps/", {"bucket": bucket.pk, "action_name": "xyz"})

    assert near["action_name"] == [
        "There is no action restart_ngnix. Similar names: restart_nginx, restart_redis."
    ]
    assert far["action_name"] == ["There is no action xyz. GET /api/v1/actions/ lists all."]


def test_an_id_and_the_name_of_another_action_contradict() -> None:
    factories.make_action(pk=4, name="four")
    five = Action.objects.get(pk=factories.make_action(pk=5, name="five").pk)
    bucket = factories.make_bucket(is_enabled=False)
    body = {"bucket": bucket.pk, "action": five.pk, "action_name": "four"}

    fields = errors_of("POST", "steps/", body)
    nested = errors_of(
        "PATCH", f"buckets/{bucket.pk}/", {"steps": [{"action": 5, "action_name": "four"}]}
    )

    assert fields["action"] == [
        "Action 5 is five, but action_name is four, which is action 4: send one of them."
    ]
    assert nested == {"steps.0.action": fields["action"]}


def test_other_contradictions_are_refused() -> None:
    bucket = factories.make_bucket(is_enabled=False)
    action = factories.make_action()
    steps = [
        {"action": action.pk, "step_order": 2},
        {"action": action.pk, "step_order": 1},
    ]

    assert "contradicts the position" in str(
        errors_of("PATCH", f"buckets/{bucket.pk}/", {"steps": steps})["steps.1.step_order"]
    )
    assert "the body 99" in str(errors_of("PATCH", f"buckets/{bucket.pk}/", {"id": 99})["id"])
