"""The groups of the roles exist after ``migrate``."""

import logging

import pytest
from django.apps import apps
from django.contrib.auth.models import Group
from django.core.management import call_command
from django.db.migrations.state import ProjectState

from remediation.models.roles import ROLES, create_role_groups

pytestmark = pytest.mark.django_db


def names():
    return set(Group.objects.values_list("name", flat=True))


def test_migrate_creates_the_groups():
    Group.objects.all().delete()

    call_command("migrate", verbosity=0)

    assert names() == {"read", "operate", "edit", "admin"} == set(ROLES)


def test_existing_groups_keep_their_members(django_user_model):
    Group.objects.exclude(name="edit").delete()
    edit = Group.objects.get(name="edit")
    edit.user_set.add(django_user_model.objects.create_user("ann"))

    for _migrate in range(2):
        call_command("migrate", verbosity=0)

    assert names() == set(ROLES)
    assert Group.objects.get(name="edit").pk == edit.pk
    assert edit.user_set.count() == 1


def test_a_group_with_a_similar_name_is_not_given_the_role(caplog):
    Group.objects.filter(name="read").delete()
    Group.objects.create(name="Read")

    with caplog.at_level(logging.WARNING):
        create_role_groups(apps=apps, using="default")

    assert "read" not in names()
    assert "Rename or delete that group" in caplog.text


def test_migrations_without_those_of_auth_need_no_groups():
    create_role_groups(apps=ProjectState().apps, using="default")

    assert names() == set(ROLES)
