"""API tokens and their scopes."""

from __future__ import annotations

import datetime
import hashlib
import secrets
import time
from collections.abc import Collection
from functools import lru_cache
from typing import Any

from django.core.exceptions import ValidationError
from django.db import models, transaction

from remediation import clock
from remediation.models.actor import Cause, actor_kind_field
from remediation.models.actor_names import token_name_problem
from remediation.models.audit_event import AuditEvent
from remediation.models.fields import ExactCharField, KeyField, created_field
from remediation.models.raw_sql import valid_token_row, valid_token_rows

PREFIX_LENGTH = 12
LAST_USED_INTERVAL = datetime.timedelta(minutes=1)
CACHE_SECONDS = 10.0  # age of a token that ``recent`` returns
CACHED_TOKENS_MAX = 256


class Scope(models.TextChoices):
    """Permissions of a token. Operate and edit include read; admin includes all."""

    WEBHOOK = "webhook"
    STACKSTORM = "stackstorm"
    READ = "read"
    OPERATE = "operate"
    EDIT = "edit"
    ADMIN = "admin"


IMPLIED_BY: dict[Scope, set[Scope]] = {
    Scope.READ: {Scope.OPERATE, Scope.EDIT, Scope.ADMIN},
    **{scope: {Scope.ADMIN} for scope in Scope if scope not in (Scope.READ, Scope.ADMIN)},
    Scope.ADMIN: set(),
}


def scope_problem(scopes: Any) -> str:
    """Return why a list of scopes is invalid, or ''."""
    known = ", ".join(Scope.values)
    if not isinstance(scopes, list) or not scopes:
        return f"Give a list of at least one scope of {known}."
    unknown = [str(scope) for scope in scopes if scope not in Scope.values]
    return f"{', '.join(unknown)}: no such scope; there are {known}." if unknown else ""


def validate_scopes(scopes: Any) -> None:
    """Raise ValidationError if this is not a list of scopes."""
    if problem := scope_problem(scopes):
        raise ValidationError(problem)


def _maker_field() -> ExactCharField[str, str]:
    return ExactCharField(max_length=150, blank=True, default="", db_default="", editable=False)


class ApiToken(models.Model):
    """A random token with scopes; only its sha256 is stored."""

    name = ExactCharField(max_length=150, unique=True)
    prefix = KeyField(max_length=PREFIX_LENGTH, editable=False)
    sha256 = KeyField(max_length=64, unique=True, editable=False)
    scopes = models.JSONField(default=list, validators=[validate_scopes])
    created_at = created_field()
    expires_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)
    last_used_at = models.DateTimeField(null=True, blank=True, editable=False)
    # Names, not keys: the record outlives the user.
    created_by = _maker_field()
    created_by_kind = actor_kind_field()
    revoked_by = _maker_field()
    revoked_by_kind = actor_kind_field()

    _recorded_at: datetime.datetime | None = None
    _row: tuple[Any, ...] | None = None  # the columns that the database had for ``find``

    class Meta:
        db_table = "api_tokens"
        verbose_name = "API token"

    def __str__(self) -> str:
        return f"{self.name} ({self.prefix}…)"

    @classmethod
    def issue(
        cls,
        *,
        name: str,
        scopes: list[str],
        expires_at: datetime.datetime | None = None,
        cause: Cause | None = None,
    ) -> tuple[ApiToken, str]:
        """Create a token; return the row and the plain-text token, which is not stored."""
        row = cls(name=name, scopes=scopes, expires_at=expires_at)
        row.full_clean(exclude=["prefix", "sha256"])
        return row, row.issue_secret(cause=cause or Cause())

    def issue_secret(self, *, cause: Cause) -> str:
        """Save a validated new token; return the plain-text token, which is not stored."""
        text = f"pc_{secrets.token_urlsafe(32)}"
        self.prefix, self.sha256 = text[:PREFIX_LENGTH], digest(text)
        self.created_by, self.created_by_kind = cause.actor, cause.actor_kind
        with transaction.atomic():
            self.save(force_insert=True)
            expires_at = self.expires_at.isoformat() if self.expires_at else None
            AuditEvent.record(
                AuditEvent.Kind.TOKEN_ISSUED,
                subject=self.name,
                cause=cause,
                data={"scopes": self.scopes, "expires_at": expires_at, "prefix": self.prefix},
            )
        return text

    def revoke(self, *, cause: Cause) -> bool:
        """Revoke the token; return False if another user has revoked it first."""
        row = ApiToken.objects.filter(pk=self.pk, revoked_at=None)
        with transaction.atomic():
            is_revoked = row.update(
                revoked_at=cause.at, revoked_by=cause.actor, revoked_by_kind=cause.actor_kind
            )
            if is_revoked:
                AuditEvent.record(AuditEvent.Kind.TOKEN_REVOKED, subject=self.name, cause=cause)
        return bool(is_revoked)

    def clean(self) -> None:
        """Reject a name that could be taken for a user or for PoundCake itself."""
        if problem := token_name_problem(self.name):
            raise ValidationError({"name": problem})

    @classmethod
    def find(cls, text: str, *, at: datetime.datetime) -> ApiToken | None:
        """Return the valid token with this text; record its use at most once a minute."""
        # Runs for every request. The cached object is valid as long as the row is unchanged.
        sha256 = digest(text)
        row = valid_token_row(sha256)
        token = _token(row) if row else None
        if token is None or token._is_expired(at):
            _recent.pop(sha256, None)
            return None
        if len(_recent) >= CACHED_TOKENS_MAX:
            _recent.clear()
        _recent[sha256] = (time.monotonic() + CACHE_SECONDS, token)
        token._record_use(at=at)
        return token

    @classmethod
    def recent(cls, text: str, *, at: datetime.datetime) -> ApiToken | None:
        """Return the result of ``find`` for this text of the last ``CACHE_SECONDS``, or None.

        Without a query, so the token may be invalid: before anything is stored for the request or
        sent to its caller, ``confirm`` must contain the token, or ``find`` must return it.
        """
        until, token = _recent.get(digest(text), (0.0, None))
        if token is None or time.monotonic() > until or token._is_expired(at):
            return None
        token._record_use(at=at)
        return token

    @classmethod
    def confirm(cls, tokens: Collection[ApiToken], *, at: datetime.datetime) -> set[int]:
        """Return the ids of those tokens of ``find`` that are valid and have not changed since.

        One query by primary key, for any number of tokens.
        """
        ids = {token.pk for token in tokens}
        rows = {row[0]: row for row in valid_token_rows(ids)} if ids else {}
        invalid = {
            token.pk
            for token in tokens
            if token._row != rows.get(token.pk, ()) or token._is_expired(at)
        }
        return ids - invalid

    def _is_expired(self, at: datetime.datetime) -> bool:
        return self.expires_at is not None and self.expires_at <= at

    def _record_use(self, *, at: datetime.datetime) -> None:
        """Store the time of use; this process writes at most once a minute."""
        if self._recorded_at and self._recorded_at >= at - LAST_USED_INTERVAL:
            return
        self._recorded_at = at
        outdated = models.Q(last_used_at=None) | models.Q(last_used_at__lt=at - LAST_USED_INTERVAL)
        # A recent token may have been revoked.
        ApiToken.objects.filter(outdated, pk=self.pk, revoked_at=None).update(last_used_at=at)

    @property
    def is_valid(self) -> bool:
        """Whether the token is neither revoked nor expired."""
        return not self.revoked_at and not self._is_expired(clock.now())

    def allows(self, scope: str) -> bool:
        """Return whether the token has the scope or one that implies it."""
        return scope in self.scopes or bool(IMPLIED_BY[Scope(scope)] & set(self.scopes))


@lru_cache(maxsize=256)
def _token(row: tuple[Any, ...]) -> ApiToken:
    """Return the token of this row; requests and threads share the object."""
    token = ApiToken.objects.get(pk=row[0])
    token._row = row
    return token


# By digest: when the token stops to be recent, and the token. Each process has its own.
_recent: dict[str, tuple[float, ApiToken]] = {}


def digest(text: str) -> str:
    """Return the sha256 of a token. It is random, so a slow hash would add no security."""
    return hashlib.sha256(text.encode()).hexdigest()
