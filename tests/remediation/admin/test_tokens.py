"""Tokens: the text is told once, and afterwards a token can only be revoked."""

import datetime

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission, User
from django.contrib.sessions.models import Session
from django.test import Client
from django.utils import timezone

from remediation.models import ApiToken
from tests.factories import make_token
from tests.remediation.admin.forms import page

FORM = {"name": "alertmanager", "scopes": ["webhook"], "expires_at_0": "", "expires_at_1": ""}


def issue(operator, **changes):
    return operator.post(page(ApiToken, "add"), FORM | changes)


def revoke(client, *tokens):
    chosen = {"action": "revoke", "_selected_action": [token.pk for token in tokens]}
    return client.post(page(ApiToken, "changelist"), chosen, follow=True)


def test_a_new_token_opens_what_it_was_made_for(operator):
    response = issue(operator)

    token = ApiToken.find(response.context["text"], at=timezone.now())
    assert token is not None
    assert (token.name, token.scopes, token.expires_at) == ("alertmanager", ["webhook"], None)


def test_the_text_is_told_once_and_kept_nowhere(operator, caplog):
    response = issue(operator)

    text = response.context["text"]
    assert text in response.content.decode()
    assert "no-store" in response["Cache-Control"]
    assert text not in str(response.cookies)
    token = ApiToken.objects.get()
    for address in (page(ApiToken, "changelist"), page(ApiToken, "change", token.pk)):
        assert text not in operator.get(address).content.decode()
    kept = [*ApiToken.objects.values(), *LogEntry.objects.values()]
    kept += [session.get_decoded() for session in Session.objects.all()]
    assert text not in str(kept)
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
def test_a_token_that_makes_no_sense_is_refused(operator, changes, field):
    response = issue(operator, **changes)

    assert field in response.context["adminform"].form.errors
    assert not ApiToken.objects.exists()


def test_two_tokens_cannot_have_one_name(operator):
    issue(operator)

    response = issue(operator)

    assert "name" in response.context["adminform"].form.errors
    assert ApiToken.objects.count() == 1


def test_a_revoked_token_opens_nothing(operator):
    token, text = make_token(["read"])

    response = revoke(operator, token)

    assert ApiToken.find(text, at=timezone.now()) is None
    assert "1 revoked." in [message.message for message in response.context["messages"]]
    assert b"badge-revoked" in response.content


def test_revoking_again_changes_nothing(operator):
    token, _text = make_token(["read"])
    revoke(operator, token)
    revoked_at = ApiToken.objects.get().revoked_at

    response = revoke(operator, token)

    assert "0 revoked." in [message.message for message in response.context["messages"]]
    assert ApiToken.objects.get().revoked_at == revoked_at


def test_who_may_only_look_cannot_revoke(db):
    token, _text = make_token(["read"])
    viewer = User.objects.create_user("viewer", is_staff=True)
    viewer.user_permissions.add(Permission.objects.get(codename="view_apitoken"))
    client = Client()
    client.force_login(viewer)

    revoke(client, token)

    assert ApiToken.objects.get().revoked_at is None


@pytest.mark.parametrize("name", ["change", "delete"])
def test_a_token_is_neither_changed_nor_deleted(operator, name):
    token, _text = make_token(["read"])

    response = operator.post(page(ApiToken, name, token.pk), {"name": "other", "post": "yes"})

    assert response.status_code == 403
    assert ApiToken.objects.get().name == token.name


def test_the_list_tells_which_tokens_work(operator):
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
