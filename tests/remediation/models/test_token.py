"""Tokens: scopes, expiry and the stored columns."""

import datetime
import time

import pytest
from django.core.exceptions import ValidationError
from django.utils import timezone

from remediation.models import ApiToken, Scope
from remediation.models.token import CACHE_SECONDS, LAST_USED_INTERVAL, digest
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


def test_a_recent_token_needs_no_query(django_assert_num_queries):
    row, text = make_token(["webhook"])
    assert ApiToken.recent(text, at=NOW) is None
    ApiToken.find(text, at=NOW)

    with django_assert_num_queries(0):
        assert ApiToken.recent(text, at=NOW) == row
        assert ApiToken.recent(text + "x", at=NOW) is None


def test_a_token_is_recent_for_10_seconds(monkeypatch):
    _, text = make_token(["webhook"])
    ApiToken.find(text, at=NOW)
    later = time.monotonic() + CACHE_SECONDS + 1

    monkeypatch.setattr(time, "monotonic", lambda: later)

    assert ApiToken.recent(text, at=NOW) is None


def test_a_recent_token_is_invalid_from_its_expiry_on():
    _, text = make_token(["webhook"], expires_at=NOW + SECOND)
    ApiToken.find(text, at=NOW)

    assert ApiToken.recent(text, at=NOW)
    assert ApiToken.recent(text, at=NOW + SECOND) is None


def test_the_recent_tokens_are_limited(monkeypatch):
    monkeypatch.setattr("remediation.models.token.CACHED_TOKENS_MAX", 3)
    texts = [make_token(["webhook"])[1] for _ in range(10)]
    for text in texts:
        ApiToken.find(text, at=NOW)

    assert 1 <= sum(ApiToken.recent(text, at=NOW) is not None for text in texts) <= 3


def find_new_token(**columns):
    _, text = make_token(["webhook"], **columns)
    token = ApiToken.find(text, at=NOW)
    assert token
    return token


def test_unchanged_tokens_are_confirmed_by_one_query(django_assert_num_queries):
    tokens = [find_new_token() for _ in range(3)]

    with django_assert_num_queries(1):
        assert ApiToken.confirm(tokens, at=NOW) == {token.pk for token in tokens}
    with django_assert_num_queries(0):
        assert ApiToken.confirm([], at=NOW) == set()


@pytest.mark.parametrize(
    "change",
    [
        {"revoked_at": NOW},
        {"expires_at": NOW},
        {"scopes": ["read"]},
        {"name": "renamed"},
        {"sha256": "0" * 64},
    ],
)
def test_a_changed_token_is_not_confirmed(change):
    changed, other = find_new_token(), find_new_token()
    ApiToken.objects.filter(pk=changed.pk).update(**change)

    assert ApiToken.confirm([changed, other], at=NOW) == {other.pk}


def test_a_deleted_or_expired_token_is_not_confirmed():
    deleted, expired = find_new_token(), find_new_token(expires_at=NOW + SECOND)
    ApiToken.objects.filter(pk=deleted.pk).delete()

    assert ApiToken.confirm([deleted, expired], at=NOW + SECOND) == set()


def test_a_recent_token_that_was_revoked_records_no_use():
    row, text = make_token(["webhook"])
    ApiToken.find(text, at=NOW)
    ApiToken.objects.update(revoked_at=NOW)

    ApiToken.recent(text, at=NOW + 2 * LAST_USED_INTERVAL)

    row.refresh_from_db()
    assert row.last_used_at == NOW


def test_a_token_that_was_found_before_and_after_a_change_is_not_confirmed():
    row, text = make_token(["webhook"])
    before = ApiToken.find(text, at=NOW)
    ApiToken.objects.filter(pk=row.pk).update(name="renamed")
    after = ApiToken.find(text, at=NOW)

    assert before
    assert after
    assert ApiToken.confirm([before, after], at=NOW) == set()
    assert ApiToken.confirm([after], at=NOW) == {row.pk}
