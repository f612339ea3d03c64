"""Heartbeats of worker processes."""

from __future__ import annotations

import datetime

from django.db import models

from remediation import clock


class Heartbeat(models.Model):
    """The last heartbeat of a cluster (``launch@HOST-PID``) or of the stream's reader (``stream``).

    ``skew_seconds``: how far the clock of its machine is ahead of the shared time.
    """

    name = models.CharField(max_length=50, unique=True)
    beat_at = models.DateTimeField()
    skew_seconds = models.FloatField(default=0.0, db_default=0.0)

    class Meta:
        db_table = "process_heartbeats"

    def __str__(self) -> str:
        return self.name

    @classmethod
    def record(cls, name: str, *, at: datetime.datetime, skew_seconds: float = 0.0) -> None:
        """Record a heartbeat, at most once a second."""
        if cls.alive(at=at, silence=datetime.timedelta(seconds=1)).filter(name=name).exists():
            return
        # Not update_or_create: several processes of one cluster would wait for each other's locks.
        values = {"beat_at": at, "skew_seconds": round(skew_seconds, 3)}
        if not cls.objects.filter(name=name).update(**values):
            cls.objects.get_or_create(name=name, defaults=values)

    @classmethod
    def alive(
        cls, *, at: datetime.datetime, silence: datetime.timedelta
    ) -> models.QuerySet[Heartbeat]:
        """Return heartbeats of the last ``silence``; those in the future do not count."""
        return cls.objects.filter(beat_at__gt=at - silence, beat_at__lte=at + clock.TOLERANCE)

    @classmethod
    def last(cls, name: str) -> datetime.datetime | None:
        """Return the time of the last heartbeat."""
        return cls.objects.filter(name=name).values_list("beat_at", flat=True).first()

    @classmethod
    def prune(cls, *, before: datetime.datetime, most: int) -> None:
        """Delete at most ``most`` rows of clusters without a heartbeat since ``before``."""
        dead = cls.objects.filter(name__contains="@", beat_at__lt=before).order_by("pk")
        cls.objects.filter(pk__in=list(dead.values_list("pk", flat=True)[:most])).delete()
