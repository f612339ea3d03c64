"""Resolves received before their alert."""

from __future__ import annotations

import datetime

from django.db import models

from remediation.models.fields import KeyField


class EarlyResolve(models.Model):
    """The newest resolve of an alert without an open episode. A late firing starts no run.

    ``labels_fingerprint`` is computed from the labels, even if another fingerprint was sent.
    """

    labels_fingerprint = KeyField(max_length=16, unique=True)
    starts_at = models.DateTimeField()
    ends_at = models.DateTimeField()
    received_at = models.DateTimeField()

    class Meta:
        db_table = "early_resolves"
        indexes = [models.Index(fields=["received_at"], name="early_resolve_received")]

    def __str__(self) -> str:
        return f"resolve of {self.labels_fingerprint} from {self.starts_at:%Y-%m-%d %H:%M:%S}"

    @classmethod
    def prune(cls, *, before: datetime.datetime, most: int = 2_000) -> None:
        """Delete at most ``most`` rows received before that time."""
        old = cls.objects.filter(received_at__lt=before).order_by("received_at")
        cls.objects.filter(pk__in=list(old.values_list("pk", flat=True)[:most])).delete()
