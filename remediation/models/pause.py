"""Pauses: periods in which nothing new starts."""

from __future__ import annotations

import datetime

from django.db import models
from django.db.models import Q

from remediation.models.actor import actor_kind_field
from remediation.models.raw_sql import is_any_pause_open


class Pause(models.Model):
    """A period in which nothing new starts, until ``expires_at`` or until an operator ends it."""

    reason = models.TextField()
    actor = models.CharField(max_length=150)
    actor_kind = actor_kind_field()
    request_id = models.CharField(max_length=64, blank=True)
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField(null=True, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True)
    ended_by = models.CharField(max_length=150, blank=True)
    ended_by_kind = actor_kind_field()

    class Meta:
        db_table = "pauses"
        indexes = [models.Index(fields=["ended_at"], name="pause_ended")]

    def __str__(self) -> str:
        until = f" until {self.expires_at:%Y-%m-%d %H:%M:%S} UTC" if self.expires_at else ""
        return f"paused by {self.actor}{until}: {self.reason}"

    @classmethod
    def current(cls, *, at: datetime.datetime) -> Pause | None:
        """Return the pause in effect at a time."""
        # Every request checks this, and usually there is no pause.
        if not is_any_pause_open():
            return None
        holding = cls.objects.filter(Q(expires_at=None) | Q(expires_at__gt=at), ended_at=None)
        return holding.order_by("-pk").first()
