"""The create_token command prints the token once, and names every mistake."""

import datetime
import io

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from remediation.models import ApiToken

pytestmark = pytest.mark.django_db


def create(*arguments):
    out = io.StringIO()
    call_command("create_token", *arguments, stdout=out)
    return out.getvalue()


def test_the_token_is_alone_on_the_last_line():
    output = create("alertmanager", "--scope", "webhook", "--scope", "read")

    text = output.splitlines()[-1]
    row = ApiToken.find(text, at=timezone.now())
    assert row is not None
    assert (row.name, row.scopes, row.expires_at) == ("alertmanager", ["webhook", "read"], None)
    assert text not in "".join(output.splitlines()[:-1])


def test_a_token_can_expire():
    create("guest", "--scope", "read", "--expires-days", "2")

    expires_at = ApiToken.objects.get().expires_at
    assert expires_at is not None
    remaining = expires_at - timezone.now()
    assert datetime.timedelta(days=1, hours=23) < remaining <= datetime.timedelta(days=2)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["taken", "--scope", "read"], "already"),
        (["x", "--scope", "everything"], "everything: no such scope; there are webhook"),
        (["x"], "--scope"),
        (["x", "--scope", "read", "--expires-days", "0"], "--expires-days"),
        (["x", "--scope", "read", "--expires-days", "99999999999"], "--expires-days"),
        (["", "--scope", "read"], "name"),
        (["x" * 151, "--scope", "read"], "name"),
    ],
)
def test_a_mistake_is_named_and_creates_no_token(arguments, message):
    ApiToken.issue(name="taken", scopes=["read"])

    with pytest.raises(CommandError, match=message):
        create(*arguments)

    assert ApiToken.objects.count() == 1
