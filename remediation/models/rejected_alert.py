"""Received alerts that could not be processed."""

from __future__ import annotations

from django.db import models

from remediation.models.fields import KeyField

ROWS_MAX = 1_000  # older rows are deleted


class RejectedAlert(models.Model):
    """An invalid alert of a notification whose other alerts were stored. Only new rows are kept.

    ``place``: position in the body's list, from 0. ``total``: number of rejected alerts so far,
    including this one and those without a row.
    """

    request_id = KeyField(max_length=64)
    received_at = models.DateTimeField()
    client = models.CharField(max_length=100, blank=True)
    receiver = models.CharField(max_length=255, blank=True)
    place = models.PositiveIntegerField()
    alert_name = models.CharField(max_length=255, blank=True)
    reason = models.TextField()
    total = models.PositiveBigIntegerField()

    class Meta:
        db_table = "rejected_alerts"

    def __str__(self) -> str:
        return f"alert {self.place} of call {self.request_id}: {self.reason}"

    @classmethod
    def count_all(cls) -> int:
        """Return the number of rejected alerts so far."""
        return cls.objects.order_by("-pk").values_list("total", flat=True).first() or 0
