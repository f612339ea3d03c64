"""Restored backups."""

from __future__ import annotations

import datetime

from django.db import models

from remediation.models.actor import actor_kind_field
from remediation.models.fields import ExactCharField
from remediation.models.raw_sql import is_any_restore_recorded


class Restore(models.Model):
    """A restored backup, recorded by ``manage.py after_restore`` before the workers start."""

    at = models.DateTimeField(unique=True)
    actor = ExactCharField(max_length=150)
    actor_kind = actor_kind_field()

    class Meta:
        db_table = "restores"

    def __str__(self) -> str:
        return f"{self.at:%Y-%m-%d %H:%M:%S} UTC by {self.actor}"

    @classmethod
    def latest(cls) -> datetime.datetime | None:
        """Return when a backup was last restored."""
        # Every claim asks this, and usually there is no restore.
        if not is_any_restore_recorded():
            return None
        return cls.objects.order_by("-at").values_list("at", flat=True).first()
