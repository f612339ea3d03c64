"""Answers of operations, kept for callers that repeat a request."""

from __future__ import annotations

import datetime

from django.db import models

from remediation.models.fields import KeyField

KEPT = datetime.timedelta(days=1)  # after this time a key is new again


class IdempotencyKey(models.Model):
    """The first answer to a caller's request with a key.

    Written in the transaction of the operation, so that a crash leaves both or neither.
    """

    caller = KeyField(max_length=64)  # such as token:7; callers do not share keys
    key = KeyField(max_length=255)
    request_sha256 = KeyField(max_length=64)  # of method, path and body
    status_code = models.PositiveSmallIntegerField()
    body = models.TextField()  # JSON
    created_at = models.DateTimeField()

    class Meta:
        db_table = "idempotency_keys"
        constraints = [models.UniqueConstraint(fields=["caller", "key"], name="idempotency_key")]
        indexes = [models.Index(fields=["created_at"], name="idempotency_key_created")]

    def __str__(self) -> str:
        return f"key {self.key} of {self.caller}"

    @classmethod
    def prune(cls, *, before: datetime.datetime, most: int = 2_000) -> None:
        """Delete at most ``most`` rows created before that time."""
        old = cls.objects.filter(created_at__lt=before).order_by("created_at")
        cls.objects.filter(pk__in=list(old.values_list("pk", flat=True)[:most])).delete()
