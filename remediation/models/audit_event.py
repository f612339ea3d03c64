"""Audit events: what people did besides changing a status, such as logins and new tokens."""

from __future__ import annotations

import logging
from functools import partial
from typing import Any

from django.db import models, transaction

from remediation.models.actor import Cause, actor_kind_field
from remediation.models.fields import ExactCharField, KeyField
from remediation.models.transition import AppendOnlyManager, AppendOnlyModel
from remediation.values.json_values import fit

logger = logging.getLogger(__name__)


class AuditEvent(AppendOnlyModel):
    """One event. ``subject``: the name of the user or token that it is about.

    ``actor`` with an empty ``actor_kind`` is a name that nobody has proved, as of a failed login.
    """

    class Kind(models.TextChoices):
        LOGIN = "login"
        LOGIN_FAILED = "login_failed"
        LOGIN_LOCKED = "login_locked"
        LOGOUT = "logout"
        USER_ADDED = "user_added"
        USER_CHANGED = "user_changed"
        TOKEN_ISSUED = "token_issued"  # noqa: S105 - a kind, not a secret
        TOKEN_REVOKED = "token_revoked"  # noqa: S105 - a kind, not a secret

    at = models.DateTimeField()
    kind = models.CharField(max_length=40, choices=Kind)
    actor = ExactCharField(max_length=150, blank=True)
    actor_kind = actor_kind_field()
    client_host = ExactCharField(max_length=100, blank=True)
    request_id = KeyField(max_length=64, blank=True)
    subject = ExactCharField(max_length=150, blank=True)
    data = models.JSONField(default=dict, blank=True)

    objects = AppendOnlyManager()

    class Meta:
        db_table = "audit_events"
        verbose_name = "audit event"
        indexes = [
            models.Index(fields=["at"], name="audit_event_at"),
            models.Index(fields=["kind", "id"], name="audit_event_kind"),
            models.Index(fields=["request_id"], name="audit_event_request"),
            # The failed logins of a client, to limit their number.
            models.Index(fields=["client_host", "at"], name="audit_event_client"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.subject}".strip()

    @classmethod
    def record(
        cls,
        kind: AuditEvent.Kind,
        *,
        subject: str,
        cause: Cause,
        data: dict[str, Any] | None = None,
    ) -> None:
        """Insert an event. ``data`` must contain no secret."""
        event = cls.objects.create(
            at=cause.at,
            kind=kind,
            actor=cause.actor,
            actor_kind=cause.actor_kind,
            client_host=cause.client_host,
            request_id=cause.request_id,
            subject=subject[:150],
            data=fit(data or {}),
        )
        transaction.on_commit(partial(_log, event), robust=True)


def _log(event: AuditEvent) -> None:
    is_refused = event.kind in (AuditEvent.Kind.LOGIN_FAILED, AuditEvent.Kind.LOGIN_LOCKED)
    extra = {"event": f"audit.{event.kind}", "subject": event.subject, "actor": event.actor}
    logger.log(
        logging.WARNING if is_refused else logging.INFO,
        "%s, by %s from %s",
        event,
        event.actor or "an unknown actor",
        event.client_host or "this machine",
        extra=extra | {"client_host": event.client_host},
    )
