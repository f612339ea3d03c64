"""PUT replaces a definition, PATCH changes the fields that it has."""

from __future__ import annotations

import json
from typing import Any

import pytest

from remediation.models import BucketStep, BucketVersion
from tests import factories

pytestmark = pytest.mark.django_db


def send(method: str, path: str, body: Any) -> tuple[int, Any]:
    response = factories.make_client("edit").generic(
        method, f"/api/v1/{path}", json.dumps(body), content_type="application/json"
    )
    return response.status_code, response.json()


def test_put_sets_missing_fields_of_an_action_to_their_defaults() -> None:
    action = factories.make_action(
        description="old", st2_pack="core", st2_parameters={"cmd": "true"}, is_enabled=False
    )
    body = {"name": "new", "st2_action_ref": "core.remote"}

    status, replaced = send("PUT", f"actions/{action.pk}/", body)

    assert status == 200
    created = send("POST", "actions/", body | {"name": "other"})[1]
    differing = {name for name in created if created[name] != replaced[name]}
    assert differing == {"id", "name", "created_at", "updated_at"}


def test_put_sets_missing_fields_of_a_bucket_to_their_defaults() -> None:
    bucket = factories.make_bucket(
        description="old",
        label_matchers='a="b"',
        priority=5,
        continue_matching=True,
        on_resolved="cancel",
        cooldown_seconds=60,
        group_by="alertname",
        timeout_seconds=60,
    )
    factories.make_step(bucket, name="old")
    action = factories.make_action()
    body = {"name": "new", "alert_name_pattern": "X", "steps": [{"action_name": action.name}]}

    status, replaced = send("PUT", f"buckets/{bucket.pk}/", body)

    assert status == 200
    created = send("POST", "buckets/", body | {"name": "other"})[1]
    differing = {name for name in created if created[name] != replaced[name]}
    assert differing == {"id", "name", "steps", "created_at", "updated_at"}
    assert [step["action"] for step in replaced["steps"]] == [action.pk]
    assert BucketStep.objects.filter(bucket=bucket).count() == 1
    assert [step["name"] for step in BucketVersion.objects.latest("pk").steps] == [action.name]


def test_put_without_steps_removes_the_steps() -> None:
    bucket = factories.make_step().bucket
    body = {"name": "b", "alert_name_pattern": "X"}

    status, response = send("PUT", f"buckets/{bucket.pk}/", body)
    assert (status, list(response["error"]["fields"])) == (400, ["steps"])
    assert bucket.steps.count() == 1

    status, replaced = send("PUT", f"buckets/{bucket.pk}/", body | {"is_enabled": False})
    assert (status, replaced["steps"]) == (200, [])


@pytest.mark.parametrize(
    ("path", "fields"),
    [("actions", ["name"]), ("buckets", ["name"]), ("steps", ["action", "bucket"])],
)
def test_put_requires_the_required_fields_and_patch_none(path: str, fields: list[str]) -> None:
    step = factories.make_step(factories.make_bucket(pk=1), factories.make_action(pk=1), pk=1)

    status, response = send("PUT", f"{path}/1/", {})

    assert status == 400
    assert sorted(set(response["error"]["fields"]) & {"name", "action", "bucket"}) == fields
    assert send("PATCH", f"{path}/{step.pk}/", {})[0] == 200


def test_put_of_a_step_without_step_order_moves_it_to_the_end() -> None:
    bucket = factories.make_bucket()
    first = factories.make_step(bucket, name="a", max_attempts=3, parameters={"cmd": "true"})
    factories.make_step(bucket, name="b")

    status, replaced = send(
        "PUT", f"steps/{first.pk}/", {"bucket": bucket.pk, "action": first.action_id, "name": "c"}
    )

    assert status == 200
    assert (replaced["step_order"], replaced["max_attempts"], replaced["parameters"]) == (2, 1, {})
    assert list(bucket.steps.order_by("step_order").values_list("name", flat=True)) == ["b", "c"]


@pytest.mark.parametrize("path", ["actions", "buckets", "steps"])
def test_a_row_can_be_put_back_as_read(path: str) -> None:
    factories.make_step(factories.make_bucket(pk=1), factories.make_action(pk=1), pk=1)
    before = factories.make_client("read").get(f"/api/v1/{path}/1/").json()

    status, after = send("PUT", f"{path}/1/", before)

    assert status == 200
    if path == "buckets":
        for row in (before, after):
            row["steps"] = [{**step, "id": 0} for step in row["steps"]]
    assert {**after, "updated_at": 0} == {**before, "updated_at": 0}


def test_a_step_names_its_action_by_name() -> None:
    action = factories.make_action(name="restart")
    bucket = factories.make_bucket()

    status, created = send("POST", "steps/", {"bucket": bucket.pk, "action_name": "restart"})
    both = {"steps": [{"action": action.pk, "action_name": "restart"}]}

    assert (status, created["action"], created["action_name"]) == (201, action.pk, "restart")
    assert send("PATCH", f"buckets/{bucket.pk}/", both)[0] == 200
    other = factories.make_action(name="other")
    step = bucket.steps.get()
    assert send("PATCH", f"steps/{step.pk}/", {"action_name": "other"})[1]["action"] == other.pk
