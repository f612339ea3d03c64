"""API of actions, buckets and steps: accepted and rejected requests."""

from __future__ import annotations

import json
from typing import Any

import pytest

from remediation.models import Action, ApiToken, Bucket, BucketStep, BucketVersion
from tests import factories

pytestmark = pytest.mark.django_db

API = "/api/v1"


class Editor:
    """A JSON client with the scope edit."""

    def __init__(self) -> None:
        self.client = factories.make_client("edit")

    def __call__(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        data = body if isinstance(body, str | bytes) else json.dumps(body)
        response = self.client.generic(
            method, f"{API}/{path}", data, content_type="application/json"
        )
        return response.status_code, response.json() if response.content else None

    def rejected(self, method: str, path: str, body: Any) -> dict[str, list[str]]:
        """Return the fields of a 400."""
        status, response = self(method, path, body)
        assert (status, response["error"]["code"]) == (400, "invalid")
        fields: dict[str, list[str]] = response["error"]["fields"]
        return fields


@pytest.fixture
def call() -> Editor:
    return Editor()


def test_the_action_of_the_seed_is_created_and_read_back(call: Editor) -> None:
    body = {
        "name": "restart_nginx",
        "description": "Restart nginx service via StackStorm",
        "action_type": "stackstorm",
        "st2_action_ref": "linux.service",
        "st2_pack": "linux",
        "use_stackstorm": True,
        "st2_parameters": {"hosts": "{{ alert.instance | host }}", "service": "nginx"},
    }

    status, created = call("POST", "actions/", body)

    assert status == 201
    assert body.items() <= created.items()
    assert call("GET", f"actions/{created['id']}") == (200, created)
    assert created["st2_check"] == "unchecked"


@pytest.mark.parametrize("slash", ["", "/"])
def test_the_trailing_slash_is_optional(call: Editor, slash: str) -> None:
    factories.make_action(pk=1)

    assert call("GET", f"actions{slash}")[0] == 200
    assert call("GET", f"actions/1{slash}")[0] == 200


@pytest.mark.parametrize(
    ("changed", "field", "text"),
    [
        ({"name": ""}, "name", "blank"),
        ({"name": "taken"}, "name", "already exists"),
        ({"name": "x" * 201}, "name", "200"),
        ({"st2_action_ref": ""}, "st2_action_ref", "pack.name"),
        ({"st2_action_ref": "nodot"}, "st2_action_ref", "pack.name"),
        ({"st2_pack": "core"}, "st2_pack", "not in the pack core"),
        (
            {"action_type": "ping"},
            "action_type",
            "action_type ping contradicts",
        ),
        ({"use_stackstorm": False}, "action_type", "contradicts use_stackstorm false"),
        ({"use_stackstorm": False}, "st2_action_ref", "linux.service contradicts"),
        ({"use_stackstorm": False, "action_type": "nope"}, "action_type", "no local action nope"),
        ({"use_stackstorm": "true"}, "use_stackstorm", "boolean"),
        ({"name": 7}, "name", "string"),
        ({"use_stackstorm": "maybe"}, "use_stackstorm", "boolean"),
        ({"st2_parameters": []}, "st2_parameters", "JSON object"),
        ({"st2_parameters": "{}"}, "st2_parameters", "JSON object"),
        ({"st2_parameters": None}, "st2_parameters", "null"),
        (
            {"st2_parameters": {"a": "{{ alert.nope }}"}},
            "st2_parameters",
            "a: unknown attribute alert.nope",
        ),
        ({"st2_parameters": {"a": "{{ alert."}}, "st2_parameters", "a: line 1"),
        ({"st2_parameters": {"cmd": "ping {{ alert.instance }}"}}, "st2_parameters", "quote"),
        ({"st2_parameters": {"a": ["\x00"]}}, "st2_parameters.a.0", "Null characters"),
        ({"st2_parameters": {"\ud800": 1}}, "st2_parameters", "surrogates"),
        ({"st2_parameters": {"a": float("inf")}}, "st2_parameters.a", "not finite"),
        ({"st2_parameters": {"a": json.loads("[" * 30 + "]" * 30)}}, "st2_parameters", "20 levels"),
        ({"nope": 1}, "nope", "Unknown field"),
    ],
)
def test_an_invalid_action_is_rejected_by_field(
    call: Editor, changed: dict[str, Any], field: str, text: str
) -> None:
    factories.make_action(name="taken")
    body = {"name": "restart", "st2_action_ref": "linux.service"} | changed

    fields = call.rejected("POST", "actions/", body)

    assert text in " ".join(fields[field])
    assert Action.objects.count() == 1


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ("{", "line 1"),
        (b"\xff", "UTF-8"),
        ("[]", "must be a JSON object"),
        ("7", "must be a JSON object"),
        ('{"\\ud800": 1}', "surrogates"),
        ("[" * 100_000, "nested too deeply"),
        ('{"priority": ' + "9" * 5_000 + "}", "too many digits"),
    ],
)
def test_a_body_that_is_not_an_object_is_rejected(
    call: Editor, body: str | bytes, text: str
) -> None:
    status, response = call("POST", "buckets/", body)

    assert (status, response["error"]["code"]) == (400, "parse_error")
    assert text in response["error"]["message"]


def test_a_definition_over_1_mib_is_rejected(call: Editor) -> None:
    status, response = call("POST", "actions/", {"description": "x" * 2**20})

    assert (status, response["error"]["code"]) == (413, "too_large")


def test_form_data_is_rejected() -> None:
    response = factories.make_client("edit").post(f"{API}/actions/", {"name": "x"})

    assert response.status_code == 415
    assert response.json()["error"]["code"] == "unsupported_media_type"


def test_a_bucket_is_created_with_its_steps_in_order(call: Editor) -> None:
    first, second = factories.make_action(), factories.make_local_action()
    steps = [
        {"action": first.pk, "parameters": {"cmd": "true"}, "max_attempts": 3},
        {"action": second.pk, "run_when": "always", "condition": "alert.severity == 'page'"},
    ]

    status, created = call(
        "POST", "buckets/", {"name": "nginx", "alert_name_pattern": "NginxDown", "steps": steps}
    )

    assert status == 201
    assert [(step["step_order"], step["action"]) for step in created["steps"]] == [
        (1, first.pk),
        (2, second.pk),
    ]
    assert created["steps"][0]["max_attempts"] == 3
    version = BucketVersion.objects.get()
    assert version.actor == ApiToken.objects.get().name
    assert [step["name"] for step in version.steps] == [first.name, second.name]


def test_steps_in_a_request_replace_all_steps(call: Editor) -> None:
    bucket = factories.make_step().bucket
    factories.make_step(bucket)
    action = factories.make_action()

    status, changed = call("PATCH", f"buckets/{bucket.pk}/", {"steps": [{"action": action.pk}]})

    assert status == 200
    assert [step["action"] for step in changed["steps"]] == [action.pk]
    assert BucketStep.objects.count() == 1


def test_a_bucket_can_be_written_back_as_read(call: Editor) -> None:
    bucket = factories.make_step().bucket
    _, before = call("GET", f"buckets/{bucket.pk}/")

    status, after = call("PUT", f"buckets/{bucket.pk}/", before)

    assert status == 200
    assert _without_ids(after) == _without_ids(before)


def _without_ids(bucket: dict[str, Any]) -> dict[str, Any]:
    steps = [{key: step[key] for key in step if key != "id"} for step in bucket["steps"]]
    return bucket | {"steps": steps, "updated_at": None}


def test_patching_a_bucket_keeps_its_steps(call: Editor) -> None:
    step = factories.make_step()

    status, changed = call("PATCH", f"buckets/{step.bucket_id}/", {"priority": 5})

    assert (status, changed["priority"]) == (200, 5)
    assert [row["id"] for row in changed["steps"]] == [step.pk]


@pytest.mark.parametrize(
    ("changed", "field", "text"),
    [
        ({"alert_name_pattern": "("}, "alert_name_pattern", "opening ("),
        ({"alert_name_pattern": ""}, "alert_name_pattern", "Set alert_name_pattern"),
        ({"label_matchers": "severity"}, "label_matchers", "Example"),
        ({"steps": []}, "steps", "is_enabled false"),
        ({"steps": {}}, "steps", "list"),
        ({"steps": [7]}, "steps.0", "dictionary"),
        ({"steps": [{}]}, "steps.0.action", "Required: the id of an action"),
        ({"steps": [{"action": 999}]}, "steps.0.action", "999"),
        ({"steps": [{"action": 1, "nope": 1}]}, "steps.0.nope", "Unknown field"),
        ({"steps": [{"action": 1, "parameters": []}]}, "steps.0.parameters", "JSON object"),
        (
            {"steps": [{"action": 1}, {"action": 1, "parameters": {"a": "{{ nope }}"}}]},
            "steps.1.parameters",
            "a: unknown variable nope",
        ),
        ({"steps": [{"action": 1, "condition": "{{"}]}, "steps.0.condition", ""),
        ({"steps": [{"action": 1, "condition": "nope"}]}, "steps.0.condition", "nope"),
        ({"steps": [{"action": 1, "max_attempts": 0}]}, "steps.0.max_attempts", "1"),
        ({"steps": [{"action": 1, "run_when": "never"}]}, "steps.0.run_when", "never"),
        (
            {"use_stackstorm": True, "st2_workflow_name": "a.b"},
            "steps",
            "either steps or a workflow",
        ),
        ({"use_stackstorm": True, "steps": []}, "st2_workflow_name", "Name the workflow"),
        ({"st2_workflow_name": "a.b"}, "st2_workflow_name", "steps or a workflow"),
        ({"st2_workflow_params": []}, "st2_workflow_params", "JSON object"),
        ({"timeout_seconds": 31 * 86_400}, "timeout_seconds", "2592000"),
        ({"on_resolved": "invalid"}, "on_resolved", "invalid"),
        ({"cooldown_seconds": -1}, "cooldown_seconds", "0"),
        ({"priority": 2**80}, "priority", "less than or equal"),
    ],
)
def test_an_invalid_bucket_is_rejected_by_field(
    call: Editor, changed: dict[str, Any], field: str, text: str
) -> None:
    factories.make_action(pk=1)
    body = {"name": "b", "alert_name_pattern": "X", "steps": [{"action": 1}]} | changed

    fields = call.rejected("POST", "buckets/", body)

    assert text in " ".join(fields[field])
    assert not Bucket.objects.exists()


def test_a_bucket_without_steps_can_be_saved_disabled(call: Editor) -> None:
    body = {"name": "draft", "alert_name_pattern": "X", "is_enabled": False}

    status, created = call("POST", "buckets/", body)
    errors = call.rejected("PATCH", f"buckets/{created['id']}/", {"is_enabled": True})

    assert status == 201
    assert list(errors) == ["steps"]


def test_a_workflow_bucket_has_its_own_timeout(call: Editor) -> None:
    body = {
        "name": "st2_host_down",
        "alert_name_pattern": "HostDown",
        "use_stackstorm": True,
        "st2_workflow_name": "remediation.host_down",
        "st2_workflow_pack": "remediation",
        "timeout_seconds": 600,
    }

    status, created = call("POST", "buckets/", body)

    assert status == 201
    assert created["timeout_seconds"] == 600
    assert created["steps"] == []
    assert BucketVersion.objects.get().steps[0]["timeout_seconds"] == 600


def test_the_rules_of_a_run_are_saved_and_returned(call: Editor) -> None:
    bucket = factories.make_step().bucket
    rules = {"on_resolved": "cancel", "timeout_seconds": 60}

    status, shown = call("PATCH", f"buckets/{bucket.pk}/", rules)

    assert status == 200
    assert rules.items() <= shown.items()
    assert rules.items() <= BucketVersion.objects.get().definition["bucket"].items()


def test_a_step_without_step_order_becomes_the_last(call: Editor) -> None:
    step = factories.make_step()

    status, created = call("POST", "steps/", {"bucket": step.bucket_id, "action": step.action_id})

    assert (status, created["step_order"]) == (201, 2)


def test_a_step_moves_to_its_step_order(call: Editor) -> None:
    bucket = factories.make_step(name="a").bucket
    moved = factories.make_step(bucket, name="b")
    factories.make_step(bucket, name="c")

    status, changed = call("PATCH", f"steps/{moved.pk}/", {"step_order": 1})

    assert (status, changed["step_order"]) == (200, 1)
    names = bucket.steps.order_by("step_order").values_list("name", "step_order")
    assert list(names) == [("b", 1), ("a", 2), ("c", 3)]


def test_a_step_cannot_change_its_bucket(call: Editor) -> None:
    step, other = factories.make_step(), factories.make_bucket()

    fields = call.rejected("PATCH", f"steps/{step.pk}/", {"bucket": other.pk})

    assert f"cannot move to bucket {other.pk}" in fields["bucket"][0]


def test_the_last_step_of_an_enabled_bucket_cannot_be_deleted(call: Editor) -> None:
    step = factories.make_step()

    fields = call.rejected("DELETE", f"steps/{step.pk}/", None)

    assert "is_enabled false" in fields["steps"][0]
    assert BucketStep.objects.filter(pk=step.pk).exists()


def test_deleting_a_step_renumbers_the_others(call: Editor) -> None:
    first = factories.make_step()
    second = factories.make_step(first.bucket)

    status, _ = call("DELETE", f"steps/{first.pk}/")

    second.refresh_from_db()
    assert (status, second.step_order) == (204, 1)


def test_unused_definitions_can_be_deleted(call: Editor) -> None:
    action, bucket = factories.make_action(), factories.make_bucket()

    assert call("DELETE", f"actions/{action.pk}/")[0] == 204
    assert call("DELETE", f"buckets/{bucket.pk}/")[0] == 204


def test_definitions_with_history_can_only_be_disabled(call: Editor) -> None:
    execution = factories.make_execution()

    for path in (f"actions/{execution.action_id}/", f"buckets/{execution.bucket_id}/"):
        status, response = call("DELETE", path)
        assert (status, response["error"]["code"]) == (409, "conflict")
        assert "disable it instead (is_enabled false)" in response["error"]["message"]
        assert call("PATCH", path, {"is_enabled": False})[0] == 200


@pytest.mark.parametrize("name", ["actions", "buckets", "steps"])
def test_query_count_does_not_depend_on_the_length_of_a_list(
    name: str, django_assert_num_queries: Any
) -> None:
    client = factories.make_client("read")
    client.get(f"{API}/{name}/")
    bucket = factories.make_bucket()
    for _ in range(5):
        factories.make_step(bucket)
        factories.make_step()

    # Token, page, prefetches of buckets, pause, and recording of the call.
    with django_assert_num_queries({"actions": 5, "buckets": 7, "steps": 5}[name]):
        response = client.get(f"{API}/{name}/")

    assert len(response.json()["results"]) >= 5
