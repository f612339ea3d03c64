"""Alerts that came in and could not be acted on."""

from __future__ import annotations

from django.db import models

from remediation.models.fields import KeyField

ROWS_MAX = 1_000  # that are kept; older ones are deleted


class RejectedAlert(models.Model):
    """One alert of a notification that was taken without it; the newest rows are kept.

    ``place``: in the body's list, from 0. ``total``: how many alerts have been rejected so far,
    this one and those without a row included.
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
        """Return how many alerts have been rejected so far."""
        return cls.objects.order_by("-pk").values_list("total", flat=True).first() or 0
