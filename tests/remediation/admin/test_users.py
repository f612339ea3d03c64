"""Admin of users: roles are given by the role admin, and an administrator always remains."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import Group, Permission, User
from django.test import Client

from tests.factories import make_user
from tests.remediation.admin.forms import page

pytestmark = [pytest.mark.slow, pytest.mark.django_db]

PASSWORD = "correct horse battery"


def client_of(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def save(editor: User, user: User, **changes: Any) -> Any:
    """Post the form of a user; checkboxes are on unless ``changes`` has None."""
    data = {
        "is_active": "on",
        "is_staff": "on",
        "is_superuser": "on" if user.is_superuser else None,
        "groups": [group.pk for group in user.groups.all()],
    } | changes
    sent = {name: value for name, value in data.items() if value is not None}
    return client_of(editor).post(page(User, "change", user.pk), sent)


def errors_of(response: Any) -> str:
    return str(response.context["adminform"].form.errors)


def role(name: str) -> int:
    return Group.objects.get(name=name).pk


def test_the_role_admin_adds_a_user_with_roles():
    form = {
        "username": "ann",
        "usable_password": "true",
        "password1": PASSWORD,
        "password2": PASSWORD,
        "is_staff": "on",
        "groups": [role("operate")],
    }

    response = client_of(make_user("admin")).post(page(User, "add"), form)

    assert response.status_code == 302
    ann = User.objects.get(username="ann")
    assert (ann.is_staff, ann.is_superuser) == (True, False)
    assert [group.name for group in ann.groups.all()] == ["operate"]


def test_a_password_like_the_user_name_is_rejected():
    form = {"username": "wintermute", "usable_password": "true", "is_staff": "on"}
    form |= {"password1": "wintermute1", "password2": "wintermute1"}

    response = client_of(make_user("admin")).post(page(User, "add"), form)

    assert "too similar to the username" in errors_of(response)


def test_the_role_admin_gives_and_takes_roles():
    editor, user = make_user("admin"), make_user("read")

    save(editor, user, groups=[role("edit"), role("admin")])

    assert {group.name for group in user.groups.all()} == {"edit", "admin"}


def test_only_superusers_make_superusers():
    editor, user = make_user("admin"), make_user("read")

    save(editor, user, is_superuser="on", user_permissions=[Permission.objects.first().pk])  # type: ignore[union-attr]  # exists

    user.refresh_from_db()
    assert not user.is_superuser
    assert not user.user_permissions.exists()
    save(User.objects.create_superuser("root"), user, is_superuser="on")
    user.refresh_from_db()
    assert user.is_superuser


@pytest.mark.parametrize("name", ["change", "password"])
def test_the_role_admin_cannot_change_a_superuser(name):
    superuser = User.objects.create_superuser("root", password=PASSWORD)
    client = client_of(make_user("admin"))
    url = page(User, "change", superuser.pk).replace("change", name)

    response = client.post(url, {"password1": "another horse 1", "password2": "another horse 1"})

    assert response.status_code == 403
    superuser.refresh_from_db()
    assert superuser.is_active
    assert superuser.check_password(PASSWORD)


@pytest.mark.parametrize("changes", [{"is_active": None}, {"is_staff": None}, {"groups": []}])
def test_users_do_not_lock_themselves_out(changes):
    editor = make_user("admin")
    make_user("admin")

    response = save(editor, editor, **changes)

    assert "You would lose the role admin" in errors_of(response)
    editor.refresh_from_db()
    assert editor.is_active
    assert editor.groups.exists()


def test_another_administrator_may_take_the_role():
    editor, user = make_user("admin"), make_user("admin")

    assert save(editor, user, groups=[]).status_code == 302
    assert not user.groups.exists()


def test_the_last_administrator_remains():
    superuser = User.objects.create_superuser("root")

    response = save(superuser, superuser, is_superuser=None, groups=[])

    assert "no active user with staff status would have the role admin" in errors_of(response)
    superuser.refresh_from_db()
    assert superuser.is_superuser


def test_a_superuser_who_joins_the_group_admin_may_give_up_the_status():
    superuser = User.objects.create_superuser("root")

    save(superuser, superuser, is_superuser=None, groups=[role("admin")])

    superuser.refresh_from_db()
    assert not superuser.is_superuser


def test_users_are_neither_renamed_nor_deleted():
    editor, user = User.objects.create_superuser("root"), make_user("read", username="ann")

    save(editor, user, username="other")
    response = client_of(editor).post(page(User, "delete", user.pk), {"post": "yes"})

    assert response.status_code == 403
    assert User.objects.get(pk=user.pk).username == "ann"


def test_groups_of_roles_keep_their_names():
    client, group = client_of(make_user("admin")), Group.objects.get(name="edit")

    client.post(page(Group, "change", group.pk), {"name": "other"})
    deleted = client.post(page(Group, "delete", group.pk), {"post": "yes"})
    chosen = {"action": "delete_selected", "_selected_action": [group.pk], "post": "yes"}
    client.post(page(Group, "changelist"), chosen)

    assert deleted.status_code == 403
    assert Group.objects.get(pk=group.pk).name == "edit"


def test_a_group_shows_its_role_and_members():
    user, group = make_user("edit"), Group.objects.get(name="edit")

    content = client_of(make_user("admin")).get(page(Group, "change", group.pk)).content.decode()

    assert "change actions, buckets, steps and config values" in content
    assert page(User, "change", user.pk) in content
    assert "permissions" not in content
