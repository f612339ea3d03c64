"""A new token or user has no name that could be taken for another actor."""

import io

import pytest
from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.core.management import CommandError, call_command

from remediation.models import ApiToken
from tests.factories import log_in, make_token, make_user
from tests.remediation.admin.forms import page

pytestmark = pytest.mark.django_db

LOOK_ALIKES = ["maria", "Maria", " MARIA ", "m\u0430ri\u0430", "\uff4daria", "mari\u200ba", "maría"]
RESERVED = ["system", "System", "\u0455\u0443\u0455tem", "STACKSTORM", "stack storm"]


@pytest.mark.parametrize("name", [*LOOK_ALIKES, *RESERVED])
def test_a_token_is_not_named_like_a_user_or_the_machine(name):
    make_user(username="maria")

    with pytest.raises(ValidationError, match="Choose another"):
        ApiToken.issue(name=name, scopes=["read"])

    assert not ApiToken.objects.exists()


def test_the_command_names_the_problem():
    with pytest.raises(CommandError, match="name: Records use the name system"):
        call_command("create_token", "system", "--scope", "read", stdout=io.StringIO())


def test_admin_names_the_problem():
    response = log_in("admin").post(page(ApiToken, "add"), {"name": "System", "scopes": ["read"]})

    assert "Records use the name system" in str(response.context["adminform"].form.errors)


def test_a_token_of_an_earlier_version_keeps_its_name_and_works():
    token, text = make_token(["read"])
    ApiToken.objects.update(name="system")

    assert ApiToken.find(text, at=token.created_at) == token


@pytest.mark.parametrize(
    "name", ["grafana", "Grafana", "gr\u0430fana", "ann", "ANN", *RESERVED[:4]]
)
def test_a_user_is_not_named_like_a_token_the_machine_or_another_user(name):
    make_token(["read"], name="grafana")
    make_user(username="ann")
    form = {"username": name, "usable_password": "false", "is_staff": "on"}

    response = log_in("admin").post(page(User, "add"), form)

    assert "username" in response.context["adminform"].form.errors
    with pytest.raises(CommandError):
        call_command("createsuperuser", interactive=False, username=name, email="a@example.com")


def test_a_user_keeps_its_name_when_a_token_has_it():
    user = make_user(username="ann")

    user.full_clean(exclude=["password"])
