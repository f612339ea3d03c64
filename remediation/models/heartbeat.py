"""Signs of life of the recurring jobs."""

from __future__ import annotations

import datetime

from django.db import models


class Heartbeat(models.Model):
    """When a recurring job last beat and beats next; it also keeps the beat from forking.

    A cluster of a worker command shows here that it lives, as ``launch@HOST-PID``.
    """

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
    def is_late(cls, name: str, *, at: datetime.datetime) -> bool:
        """Return whether the next beat was due before a time, and nobody took it."""
        return not cls.objects.filter(name=name, due_at__gte=at).exists()

    @classmethod
    def show_life(cls, name: str, *, at: datetime.datetime) -> None:
        """Keep that something lives; more than once a second is not worth a write."""
        recent = at - datetime.timedelta(seconds=1)
        if cls.objects.filter(name=name, beat_at__gt=recent).exists():
            return
        # Not update_or_create: several processes of one cluster would wait for each other's locks.
        if not cls.objects.filter(name=name).update(beat_at=at):
            cls.objects.get_or_create(name=name, defaults={"beat_at": at, "due_at": at})

    @classmethod
    def last(cls, name: str) -> datetime.datetime | None:
        """Return when something last showed life."""
        return cls.objects.filter(name=name).values_list("beat_at", flat=True).first()

    @classmethod
    def prune(cls, *, before: datetime.datetime) -> None:
        """Forget the workers that have shown no life since."""
        cls.objects.filter(name__contains="@", beat_at__lt=before).delete()

    @classmethod
    def tell(cls, name: str, note: str, *, at: datetime.datetime) -> None:
        """Keep what is wrong with something, since when, or '' when it is well again."""
        told = cls.objects.filter(name=name).first()
        if told is None and note:
            cls.objects.get_or_create(
                name=name, defaults={"note": note, "beat_at": at, "due_at": at}
            )
        elif told is not None and told.note != note:
            since = told.beat_at if told.note and note else at
            cls.objects.filter(pk=told.pk).update(note=note, beat_at=since)
