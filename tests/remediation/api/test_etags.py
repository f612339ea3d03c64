"""ETag, If-Match and updated_at of definitions."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.db import connection

from remediation.models import Action, Bucket
from tests import factories

pytestmark = pytest.mark.django_db

PATHS = ["actions/1/", "buckets/1/", "steps/1/"]


@pytest.fixture(autouse=True)
def rows() -> None:
    factories.make_step(factories.make_bucket(pk=1), factories.make_action(pk=1, name="a"), pk=1)


def send(method: str, path: str, body: Any = None, *, if_match: str | None = None) -> Any:
    headers = {} if if_match is None else {"If-Match": if_match}
    return factories.make_client("edit").generic(
        method,
        f"/api/v1/{path}",
        json.dumps(body or {}),
        content_type="application/json",
        headers=headers,
    )


def etag(path: str) -> str:
    response = send("GET", path)
    tag: str = response["ETag"]
    assert tag.startswith('"')
    return tag


CHANGES = {
    "actions/1/": {"description": "x"},
    "buckets/1/": {"priority": 1},
    "steps/1/": {"name": "x"},
}


@pytest.mark.parametrize("path", PATHS)
def test_every_response_with_a_definition_has_its_etag(path: str) -> None:
    before = etag(path)
    assert etag(path) == before
    changed = send("PATCH", path, CHANGES[path])

    assert changed["ETag"] == etag(path) != before
    assert not send("GET", path.partition("/")[0] + "/").has_header("ETag")


def test_a_created_row_has_an_etag() -> None:
    created = send("POST", "actions/", {"name": "new", "st2_action_ref": "core.local"})

    assert created["ETag"] == etag(f"actions/{created.json()['id']}/")


@pytest.mark.parametrize("method", ["PATCH", "PUT", "DELETE"])
@pytest.mark.parametrize("path", PATHS)
def test_an_outdated_etag_is_refused_with_the_current_one(method: str, path: str) -> None:
    old = etag(path)
    send("PATCH", path, CHANGES[path])
    row = send("GET", path).json()

    response = send(method, path, {"name": "late"}, if_match=old)

    assert response.status_code == 412
    assert response["ETag"] == etag(path)
    error = response.json()["error"]
    assert error["code"] == "precondition_failed"
    assert etag(path) in error["message"]
    assert send("GET", path).json() == row


@pytest.mark.parametrize("form", ["{}", '"other", {}', "*", "  {} ,", ', {},"x"'])
def test_the_current_etag_is_accepted(form: str) -> None:
    current = etag("buckets/1/")

    response = send("PATCH", "buckets/1/", {"priority": 7}, if_match=form.format(current))

    assert response.status_code == 200


def test_a_weak_etag_never_matches() -> None:
    response = send("PATCH", "buckets/1/", {"priority": 7}, if_match=f"W/{etag('buckets/1/')}")

    assert response.status_code == 412


@pytest.mark.parametrize("header", ["abc", '"abc', "", '"a" "b"', "W/", '"' + "x" * 1_000 + '"'])
def test_a_malformed_if_match_is_a_400(header: str) -> None:
    response = send("PATCH", "buckets/1/", {"priority": 7}, if_match=header)

    assert response.status_code == 400
    assert list(response.json()["error"]["fields"]) == ["If-Match"]


@pytest.mark.parametrize(
    ("path", "statement"),
    [
        ("actions/1/", "UPDATE actions SET description = 'x' WHERE id = 1"),
        ("buckets/1/", "UPDATE custom_action_buckets SET priority = 5 WHERE id = 1"),
        ("buckets/1/", "UPDATE custom_action_bucket_steps SET max_attempts = 5 WHERE id = 1"),
        ("buckets/1/", "UPDATE actions SET name = 'b' WHERE id = 1"),
        ("buckets/1/", "DELETE FROM custom_action_bucket_steps WHERE id = 1"),
        ("steps/1/", "UPDATE custom_action_bucket_steps SET max_attempts = 5 WHERE id = 1"),
    ],
)
def test_a_change_by_sql_changes_the_etag(path: str, statement: str) -> None:
    before = etag(path)

    with connection.cursor() as cursor:
        cursor.execute(statement)

    assert send("PATCH", path, {}, if_match=before).status_code == 412


def test_the_check_of_an_action_leaves_its_etag() -> None:
    before = etag("actions/1/")

    Action.objects.update(st2_check="found", st2_checked_at="2026-11-23T05:46:06Z")

    assert etag("actions/1/") == before


def test_the_etag_does_not_reveal_the_content(settings: Any) -> None:
    before = etag("actions/1/")

    settings.SECRET_KEY = "another key of at least 32 characters"

    assert etag("actions/1/") != before


def test_updated_at_is_the_time_of_the_last_change() -> None:
    bucket, action = Bucket.objects.get(), Action.objects.get()

    send("PATCH", "buckets/1/", {"priority": 7})
    send("PATCH", "actions/1/", {"description": "x"})
    by_bucket = send("GET", "buckets/1/").json()["updated_at"]
    send("PATCH", "steps/1/", {"name": "x"})

    assert by_bucket > bucket.updated_at.isoformat()
    assert send("GET", "buckets/1/").json()["updated_at"] > by_bucket
    assert send("GET", "actions/1/").json()["updated_at"] > action.updated_at.isoformat()
    assert send("PUT", "buckets/1/", {"updated_at": by_bucket}).status_code == 400


def test_a_row_that_is_deleted_before_the_lock_is_a_404(monkeypatch: pytest.MonkeyPatch) -> None:
    from_queryset = Bucket.objects.filter(pk=1)
    monkeypatch.setattr(
        "remediation.engine.operations.definitions._lock",
        lambda _ids: from_queryset.delete(),
    )

    assert send("PATCH", "buckets/1/", {}).status_code == 404
