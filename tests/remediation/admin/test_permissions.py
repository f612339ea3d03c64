"""Whoever may read through the API may read in admin, and change nothing."""

import pytest
from django.contrib.auth.models import Group, User
from django.test import Client
from django.urls import reverse

from remediation.models import Action, ActionExecution, ApiToken, Bucket, ConfigValue
from tests.factories import make_execution, make_step
from tests.remediation.admin.forms import page


@pytest.fixture
def person(db):
    """Return the browser of staff without any group."""
    client = Client()
    client.force_login(User.objects.create_user("night", is_staff=True))
    return client


@pytest.mark.parametrize("group", ["", "read", "operate", "edit", "first_level"])
def test_readers_see_what_was_done_and_by_which_definition(person, group):
    if group:
        User.objects.get().groups.add(Group.objects.create(name=group))
    step = make_step(name="restart nginx")
    execution = make_execution()

    for row in (step.bucket, step.action, execution, execution.run, execution.alert):
        assert person.get(page(type(row), "changelist")).status_code == 200
        assert person.get(page(type(row), "change", row.pk)).status_code == 200
    assert b"restart nginx" in person.get(page(Bucket, "change", step.bucket_id)).content
    index = person.get(reverse("admin:index")).content.decode()
    assert page(ActionExecution, "changelist") in index


def test_readers_change_nothing(person):
    step = make_step()

    for row in (step.bucket, step.action):
        for name in ("change", "delete"):
            address = page(type(row), name, row.pk)
            assert person.post(address, {"post": "yes", "name": "other"}).status_code == 403
        assert person.get(page(type(row), "add")).status_code == 403
    assert Action.objects.get().name == step.action.name
    assert Bucket.objects.get().name == step.bucket.name


@pytest.mark.parametrize("model", [ApiToken, ConfigValue])
def test_tokens_and_settings_are_not_history(person, model):
    assert person.get(page(model, "changelist")).status_code == 403


def test_a_visitor_without_a_place_in_admin_sees_nothing(db):
    client = Client()
    client.force_login(User.objects.create_user("visitor"))

    assert client.get(page(Bucket, "changelist")).status_code == 302


def test_the_groups_of_a_person_are_read_once_a_page(person, django_assert_max_num_queries):
    make_execution()

    with django_assert_max_num_queries(12):
        person.get(reverse("admin:index"))
