"""Signs of life of the recurring jobs."""

from __future__ import annotations

import datetime

from django.db import models


class Heartbeat(models.Model):
    """When a recurring job last beat and beats next; it also keeps the beat from forking."""

    name = models.CharField(max_length=50, unique=True)
    beat_at = models.DateTimeField()
    due_at = models.DateTimeField()
    # What is wrong, for people to read; empty when all is well.
    note = models.TextField(blank=True, default="", db_default="")

    class Meta:
        db_table = "heartbeats"

    def __str__(self) -> str:
        return self.name

    @classmethod
    def beat(cls, name: str, *, at: datetime.datetime, interval: datetime.timedelta) -> bool:
        """Take the beat that is due; of several callers one gets True."""
        cls.objects.get_or_create(name=name, defaults={"beat_at": at, "due_at": at})
        due = cls.objects.filter(name=name, due_at__lte=at)
        return bool(due.update(beat_at=at, due_at=at + interval))

    @classmethod
    def tell(cls, name: str, note: str, *, at: datetime.datetime) -> None:
        """Keep what is wrong with something, or '' when it is well again."""
        if not cls.objects.filter(name=name, note=note).exists() and (
            note or cls.objects.filter(name=name).exists()
        ):
            cls.objects.update_or_create(
                name=name, defaults={"note": note, "beat_at": at, "due_at": at}
            )
