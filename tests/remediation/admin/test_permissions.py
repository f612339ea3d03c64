"""The roles of the API decide what a user sees and changes in admin."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.urls import reverse

from remediation.models import Action, ActionExecution, ApiToken, Bucket, ConfigValue
from tests.factories import log_in, make_execution, make_step, make_token, make_user
from tests.remediation.admin.forms import page

pytestmark = [pytest.mark.slow, pytest.mark.django_db]

DEFINITIONS = (Action, Bucket, ConfigValue)


@pytest.mark.parametrize("role", ["read", "operate", "edit", "admin"])
def test_every_role_sees_definitions_and_history(role):
    client, step = log_in(role), make_step(name="restart nginx")
    execution = make_execution()
    config = ConfigValue.objects.create(key="channel", value="#alerts")

    for row in (step.bucket, step.action, execution, execution.run, execution.alert, config):
        assert client.get(page(type(row), "changelist")).status_code == 200
        assert client.get(page(type(row), "change", row.pk)).status_code == 200
    assert b"restart nginx" in client.get(page(Bucket, "change", step.bucket_id)).content
    index = client.get(reverse("admin:index")).content.decode()
    assert page(ActionExecution, "changelist") in index


@pytest.mark.parametrize("role", ["read", "operate"])
def test_other_roles_cannot_change_definitions(role):
    client, step = log_in(role), make_step()

    for row in (step.bucket, step.action):
        for name in ("change", "delete"):
            url = page(type(row), name, row.pk)
            assert client.post(url, {"post": "yes", "name": "other"}).status_code == 403
        assert client.get(page(type(row), "add")).status_code == 403
    assert Action.objects.get().name == step.action.name
    assert Bucket.objects.get().name == step.bucket.name


@pytest.mark.parametrize("role", ["edit", "admin"])
def test_editors_change_definitions(role):
    client = log_in(role)

    response = client.post(page(ConfigValue, "add"), {"key": "limit", "value": "30"})

    assert response.status_code == 302
    assert ConfigValue.objects.get().value == 30
    for model in DEFINITIONS:
        assert client.get(page(model, "add")).status_code == 200


@pytest.mark.parametrize("model", [ApiToken, User])
def test_only_the_role_admin_sees_tokens_and_users(model):
    make_token(["read"])

    for role in ("read", "operate", "edit"):
        assert log_in(role).get(page(model, "changelist")).status_code == 403
    admin = log_in("admin")
    assert admin.get(page(model, "changelist")).status_code == 200
    assert admin.get(page(model, "add")).status_code == 200


def staff_with_all_permissions() -> Client:
    user = make_user()
    user.user_permissions.set(Permission.objects.all())
    client = Client()
    client.force_login(user)
    return client


@pytest.mark.parametrize("model", [Action, Bucket, ConfigValue, ApiToken, User, ActionExecution])
def test_permissions_of_django_grant_nothing(model):
    client = staff_with_all_permissions()

    for name in ("changelist", "add"):
        assert client.get(page(model, name)).status_code == 403
    client.post(page(ApiToken, "add"), {"name": "t", "scopes": ["admin"]})
    assert not ApiToken.objects.exists()


@pytest.mark.parametrize("groups", [[], ["first_level"]])
def test_staff_without_a_role_see_whom_to_ask(groups):
    make_user("admin", username="olga")
    make_user("admin", username="gone", is_active=False)
    client = log_in(*groups)

    index = client.get(reverse("admin:index"))
    refused = client.get(page(Bucket, "changelist"))

    assert (index.status_code, refused.status_code) == (200, 403)
    for response in (index, refused):
        text = " ".join(response.content.decode().split())
        assert "You have no role yet" in text
        assert "ask olga to add you to one of these groups" in text
        assert "<th>operate</th>" in text
        assert "gone" not in text
        assert page(Bucket, "changelist") not in text
        assert reverse("audit:failures") not in text


def test_user_without_staff_status_is_redirected():
    client = log_in("admin", is_staff=False)

    assert client.get(page(Bucket, "changelist")).status_code == 302


def test_a_role_is_lost_at_once():
    user = make_user("read")
    client = Client()
    client.force_login(user)
    assert client.get(page(Bucket, "changelist")).status_code == 200

    user.groups.clear()

    assert client.get(page(Bucket, "changelist")).status_code == 403


def test_groups_of_a_user_are_read_once_per_page(django_assert_max_num_queries):
    make_execution()
    client = log_in("read")

    with django_assert_max_num_queries(12):
        client.get(reverse("admin:index"))
