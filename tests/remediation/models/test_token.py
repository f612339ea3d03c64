"""Tokens: scopes, expiry and the stored columns."""

import datetime

import pytest
from django.core.exceptions import ValidationError
from django.utils import timezone

from remediation.models import ApiToken, Scope
from remediation.models.token import LAST_USED_INTERVAL, digest
from tests.factories import make_token

pytestmark = pytest.mark.django_db

NOW = timezone.now()
SECOND = datetime.timedelta(seconds=1)
# The other scopes that each scope includes, by the design.
ALSO = {
    "webhook": set(),
    "stackstorm": set(),
    "read": set(),
    "operate": {"read"},
    "edit": {"read"},
    "admin": {"webhook", "stackstorm", "read", "operate", "edit"},
}


@pytest.mark.parametrize("held", Scope.values)
@pytest.mark.parametrize("asked", Scope.values)
def test_a_scope_allows_itself_and_the_scopes_it_includes(held, asked):
    token, _ = make_token([held])

    assert token.allows(asked) == (asked == held or asked in ALSO[held])


def test_a_token_allows_the_union_of_its_scopes():
    token, _ = make_token(["webhook", "operate"])

    assert [scope for scope in Scope.values if token.allows(scope)] == [
        "webhook",
        "read",
        "operate",
    ]


@pytest.mark.parametrize("scopes", [[], None])
def test_a_token_without_scopes_is_rejected(scopes):
    with pytest.raises(ValidationError, match="scopes"):
        ApiToken.issue(name="t", scopes=scopes)

    assert not ApiToken.objects.exists()


@pytest.mark.parametrize("scopes", [["root"], ["read", "root"], "read", [1]])
def test_unknown_scopes_are_rejected_and_the_known_ones_listed(scopes):
    with pytest.raises(ValidationError, match="webhook, stackstorm, read, operate, edit, admin"):
        ApiToken.issue(name="t", scopes=scopes)

    assert not ApiToken.objects.exists()


def test_only_the_digest_and_prefix_of_a_token_are_stored():
    row, text = make_token(["read"])

    kept = ApiToken.objects.filter(pk=row.pk).values().get()
    assert text not in str(kept)
    assert (kept["sha256"], kept["prefix"]) == (digest(text), text[:12])
    assert len(text) >= 43, "256 random bits in base64"
    assert text not in str(row)


def test_tokens_are_unique():
    assert len({make_token(["read"])[1] for _ in range(20)}) == 20


def test_a_token_is_found_only_by_its_text():
    row, text = make_token(["read"])

    assert ApiToken.find(text, at=NOW) == row
    for other in (text + "x", text[:-1], row.sha256, row.prefix, text.swapcase(), ""):
        assert ApiToken.find(other, at=NOW) is None


@pytest.mark.parametrize(
    ("expires_at", "is_found"),
    [(None, True), (NOW + SECOND, True), (NOW, False), (NOW - SECOND, False)],
)
def test_a_token_is_invalid_from_its_expiry_on(expires_at, is_found):
    _, text = make_token(["read"], expires_at=expires_at)

    assert (ApiToken.find(text, at=NOW) is not None) == is_found


def test_a_revoked_token_is_invalid():
    row, text = make_token(["read"])
    ApiToken.objects.update(revoked_at=NOW)

    assert ApiToken.find(text, at=NOW - SECOND) is None
    row.refresh_from_db()
    assert not row.is_valid


def test_its_use_is_recorded_at_most_once_a_minute(django_assert_num_queries):
    row, text = make_token(["read"])
    ApiToken.find(text, at=NOW)

    with django_assert_num_queries(1):
        ApiToken.find(text, at=NOW + LAST_USED_INTERVAL)

    row.refresh_from_db()
    assert row.last_used_at == NOW
    later = NOW + LAST_USED_INTERVAL + SECOND
    ApiToken.find(text, at=later)
    row.refresh_from_db()
    assert row.last_used_at == later


def test_a_rejected_token_records_no_use():
    row, text = make_token(["read"], expires_at=NOW)

    ApiToken.find(text, at=NOW)

    row.refresh_from_db()
    assert row.last_used_at is None
