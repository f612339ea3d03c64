"""Admin of API tokens: the secret is shown once; afterwards a token can only be revoked."""

import datetime
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission
from django.contrib.sessions.models import Session
from django.test import Client
from django.utils import timezone

from remediation.models import ApiToken
from tests.factories import make_token, make_user
from tests.remediation.admin.forms import page

FORM = {"name": "alertmanager", "scopes": ["webhook"], "expires_at_0": "", "expires_at_1": ""}


def issue(operator, **changes):
    return operator.post(page(ApiToken, "add"), FORM | changes)


def revoke(client, *tokens):
    chosen = {"action": "revoke", "_selected_action": [token.pk for token in tokens]}
    return client.post(page(ApiToken, "changelist"), chosen, follow=True)


def test_new_token_is_valid_for_its_scopes(operator):
    response = issue(operator)

    token = ApiToken.find(response.context["text"], at=timezone.now())
    assert token is not None
    assert (token.name, token.scopes, token.expires_at) == ("alertmanager", ["webhook"], None)


def test_secret_is_shown_once_and_not_stored(operator, caplog):
    response = issue(operator)

    text = response.context["text"]
    assert text in response.content.decode()
    assert "no-store" in response["Cache-Control"]
    assert text not in str(response.cookies)
    token = ApiToken.objects.get()
    for url in (page(ApiToken, "changelist"), page(ApiToken, "change", token.pk)):
        assert text not in operator.get(url).content.decode()
    stored: list[Any] = [*ApiToken.objects.values(), *LogEntry.objects.values()]
    stored += [session.get_decoded() for session in Session.objects.all()]
    assert text not in str(stored)
    assert text not in caplog.text


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"name": ""}, "name"),
        ({"scopes": []}, "scopes"),
        ({"scopes": ["root"]}, "scopes"),
        ({"expires_at_0": "2020-01-01", "expires_at_1": "00:00"}, "expires_at"),
        ({"expires_at_0": "soon", "expires_at_1": "00:00"}, "expires_at"),
    ],
)
def test_invalid_token_is_rejected(operator, changes, field):
    response = issue(operator, **changes)

    assert field in response.context["adminform"].form.errors
    assert not ApiToken.objects.exists()


def test_token_names_are_unique(operator):
    issue(operator)

    response = issue(operator)

    assert "name" in response.context["adminform"].form.errors
    assert ApiToken.objects.count() == 1


def test_revoked_token_is_invalid(operator):
    token, text = make_token(["read"])

    response = revoke(operator, token)

    assert ApiToken.find(text, at=timezone.now()) is None
    assert "1 API token revoked." in [message.message for message in response.context["messages"]]
    assert b"badge-revoked" in response.content


def test_second_revoke_changes_nothing(operator):
    token, _text = make_token(["read"])
    revoke(operator, token)
    revoked_at = ApiToken.objects.get().revoked_at

    response = revoke(operator, token)

    assert "0 API tokens revoked." in [message.message for message in response.context["messages"]]
    assert ApiToken.objects.get().revoked_at == revoked_at


def test_permissions_of_django_do_not_allow_revoking(db):
    token, _text = make_token(["read"])
    viewer = make_user("edit")
    viewer.user_permissions.set(Permission.objects.all())
    client = Client()
    client.force_login(viewer)

    revoke(client, token)

    assert ApiToken.objects.get().revoked_at is None


@pytest.mark.parametrize("name", ["change", "delete"])
def test_token_cannot_be_changed_or_deleted(operator, name):
    token, _text = make_token(["read"])

    response = operator.post(page(ApiToken, name, token.pk), {"name": "other", "post": "yes"})

    assert response.status_code == 403
    assert ApiToken.objects.get().name == token.name


def test_list_shows_which_tokens_are_valid(operator):
    make_token(["read"])
    expired, _text = make_token(["edit", "operate"])
    ApiToken.objects.filter(pk=expired.pk).update(
        expires_at=timezone.now() - datetime.timedelta(days=1), last_used_at=timezone.now()
    )

    content = operator.get(page(ApiToken, "changelist")).content.decode()

    assert "badge-valid" in content
    assert "badge-expired" in content
    assert "edit, operate" in content
    assert expired.prefix in content
