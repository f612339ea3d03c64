"""The role ``read`` of the API grants read-only access to admin."""

import pytest
from django.contrib.auth.models import Group, User
from django.test import Client
from django.urls import reverse

from remediation.models import Action, ActionExecution, ApiToken, Bucket, ConfigValue
from tests.factories import make_execution, make_step
from tests.remediation.admin.forms import page

pytestmark = pytest.mark.slow


@pytest.fixture
def staff(db):
    """Return a client signed in as a staff user without groups."""
    client = Client()
    client.force_login(User.objects.create_user("night", is_staff=True))
    return client


@pytest.mark.parametrize("group", ["", "read", "operate", "edit", "first_level"])
def test_reader_sees_definitions_and_history(staff, group):
    if group:
        User.objects.get().groups.add(Group.objects.create(name=group))
    step = make_step(name="restart nginx")
    execution = make_execution()

    for row in (step.bucket, step.action, execution, execution.run, execution.alert):
        assert staff.get(page(type(row), "changelist")).status_code == 200
        assert staff.get(page(type(row), "change", row.pk)).status_code == 200
    assert b"restart nginx" in staff.get(page(Bucket, "change", step.bucket_id)).content
    index = staff.get(reverse("admin:index")).content.decode()
    assert page(ActionExecution, "changelist") in index


def test_reader_cannot_change_definitions(staff):
    step = make_step()

    for row in (step.bucket, step.action):
        for name in ("change", "delete"):
            url = page(type(row), name, row.pk)
            assert staff.post(url, {"post": "yes", "name": "other"}).status_code == 403
        assert staff.get(page(type(row), "add")).status_code == 403
    assert Action.objects.get().name == step.action.name
    assert Bucket.objects.get().name == step.bucket.name


@pytest.mark.parametrize("model", [ApiToken, ConfigValue])
def test_reader_cannot_see_tokens_and_config_values(staff, model):
    assert staff.get(page(model, "changelist")).status_code == 403


def test_user_without_staff_status_is_redirected(db):
    client = Client()
    client.force_login(User.objects.create_user("visitor"))

    assert client.get(page(Bucket, "changelist")).status_code == 302


def test_groups_of_a_user_are_read_once_per_page(staff, django_assert_max_num_queries):
    make_execution()

    with django_assert_max_num_queries(12):
        staff.get(reverse("admin:index"))
