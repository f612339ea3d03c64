"""Every record says whether its actor is a user, a token, a command or the machine."""

from __future__ import annotations

import io
from typing import Any

import pytest
from django.apps import apps
from django.core.management import call_command
from django.test import Client
from django.utils import timezone

from audit.models import ApiCall
from remediation.engine.outcomes import remote_outcomes
from remediation.models import BucketRun, BucketVersion, Cause, Pause, Restore, Transition
from remediation.stackstorm import ExecutionResult
from tests.factories import (
    alert_payload,
    log_in,
    make_alert,
    make_client,
    make_execution,
    make_run,
    make_step,
    make_token,
    make_user,
    notification_body,
)

pytestmark = pytest.mark.django_db


def post(client: Client, url: str, body: Any) -> Any:
    response = client.post(url, body, content_type="application/json")
    assert response.status_code < 300, response.content
    return response


def kinds(rows: Any) -> set[tuple[str, str]]:
    return set(rows.values_list("actor", "actor_kind"))


def client_of_token(name: str, scope: str) -> Client:
    _, text = make_token([scope], name=name)
    return Client(headers={"Authorization": f"Bearer {text}"})


def test_a_notification_is_recorded_with_its_token():
    make_step()
    client = client_of_token("alertmanager", "webhook")

    post(client, "/api/v1/webhook", notification_body(alert_payload()))

    assert kinds(Transition.objects.filter(subject_type="alert")) == {("alertmanager", "token")}
    assert kinds(BucketRun.objects) == {("system", "system")}
    assert kinds(BucketVersion.objects) == {("system", "system")}
    assert kinds(ApiCall.objects) == {("alertmanager", "token")}


@pytest.mark.parametrize("kind", ["user", "token"])
def test_operations_and_definitions_are_recorded_with_their_actor(kind):
    client = client_of_token("ann", "admin") if kind == "token" else log_in("admin", username="ann")
    bucket, alert = make_step().bucket, make_alert()

    post(client, f"/api/v1/buckets/{bucket.pk}/run/", {"alert": alert.pk})
    post(client, "/api/v1/pause/", {"reason": "network work"})
    client.delete("/api/v1/pause/")

    expected = {("ann", kind)}
    for rows in (Transition, BucketRun, BucketVersion, Pause, ApiCall):
        assert kinds(rows.objects) == expected, rows
    assert set(Pause.objects.values_list("ended_by", "ended_by_kind")) == expected


def test_a_command_is_recorded_with_the_user_of_the_operating_system():
    options = {"without_workers": True, "stdout": io.StringIO()}
    call_command("pause", reason="network work", **options)
    call_command("resume", **options)
    assert Pause.objects.get().ended_by_kind == "command"
    call_command("after_restore", **options)

    assert {pause.actor_kind for pause in Pause.objects.all()} == {"command"}
    assert Restore.objects.get().actor_kind == "command"


def test_an_outcome_of_stackstorm_is_recorded_with_stackstorm():
    execution = make_execution(make_run(status="running"), status="running", st2_execution_id="a")
    remote = ExecutionResult("a", "succeeded", None, None, {})

    remote_outcomes.settle_without_tasks([(execution, remote)])

    assert kinds(Transition.objects) == {("stackstorm", "stackstorm")}


def test_every_column_with_an_actor_has_a_column_with_the_kind():
    names = {
        (model.__name__, field.name)
        for label in ("remediation", "audit")
        for model in apps.get_app_config(label).get_models()
        for field in model._meta.concrete_fields
    }

    actors = {(model, name) for model, name in names if name == "actor" or name.endswith("_by")}
    actors.discard(("Bucket", "group_by"))
    assert len(actors) >= 9
    assert {(model, f"{name}_kind") for model, name in actors} <= names


def test_jobs_are_the_system():
    assert (Cause().actor, Cause().actor_kind) == ("system", "system")


def test_a_call_without_credentials_has_no_kind():
    Client().get("/api/v1/alerts/")

    assert kinds(ApiCall.objects) == {("", "")}


@pytest.mark.parametrize("url", ["transitions", "runs", "requests"])
def test_the_api_shows_and_filters_the_kind(url):
    client = log_in("admin", username="ann")
    post(client, f"/api/v1/buckets/{make_step().bucket.pk}/run/", {"alert": make_alert().pk})

    rows = client.get(f"/api/v1/{url}/", {"actor_kind": "user"}).json()["results"]

    assert {(row["actor"], row["actor_kind"]) for row in rows} == {("ann", "user")}
    assert client.get(f"/api/v1/{url}/", {"actor_kind": "token"}).json()["results"] == []
    assert client.get(f"/api/v1/{url}/", {"actor_kind": "robot"}).status_code == 400


def test_a_renamed_or_deleted_user_changes_no_record():
    user = make_user("operate", username="ann")
    client = Client()
    client.force_login(user)
    post(client, "/api/v1/pause/", {"reason": "network work"})

    user.username = "other"
    user.save()
    user.delete()

    assert kinds(Pause.objects) == {("ann", "user")}


def test_tokens_record_who_issued_and_revoked_them():
    token, _ = make_token(["read"])
    assert (token.created_by, token.created_by_kind) == ("system", "system")

    first = token.revoke(cause=Cause(actor="ann", actor_kind="user"))
    second = token.revoke(cause=Cause(at=timezone.now(), actor="bob", actor_kind="user"))

    token.refresh_from_db()
    assert (first, second) == (True, False)
    assert (token.revoked_by, token.revoked_by_kind) == ("ann", "user")


def test_every_client_of_the_tests_is_a_token():
    make_client("read").get("/api/v1/alerts/")

    assert {kind for _, kind in kinds(ApiCall.objects)} == {"token"}
