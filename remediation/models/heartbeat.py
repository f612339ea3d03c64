"""Signs of life of the recurring jobs."""

from __future__ import annotations

import datetime

from django.db import models

from remediation import clock
from remediation.models.statements import fetch


class Heartbeat(models.Model):
    """When a recurring job last beat and beats next; it also keeps the beat from forking.

    A cluster of a worker command shows here that it lives, as ``launch@HOST-PID``.
    """

    name = models.CharField(max_length=50, unique=True)
    beat_at = models.DateTimeField()
    due_at = models.DateTimeField()
    # What is wrong, for people to read; empty when all is well.
    note = models.TextField(blank=True, default="", db_default="")
    # How often in a row it went wrong; 0 when all is well.
    failures = models.PositiveIntegerField(default=0, db_default=0)

    # Of the machine of a cluster: by how much its clock is ahead of the shared time.
    skew_seconds = models.FloatField(default=0.0, db_default=0.0)

    class Meta:
        db_table = "heartbeats"

    def __str__(self) -> str:
        return self.name

    @classmethod
    def beat(cls, name: str, *, at: datetime.datetime, interval: datetime.timedelta) -> bool:
        """Take the beat that is due; of several callers one gets True."""
        cls.objects.get_or_create(name=name, defaults={"beat_at": at, "due_at": at})
        due = cls.objects.exclude(cls._awaited(at=at, longest=interval)).filter(name=name)
        return bool(due.update(beat_at=at, due_at=at + interval))

    @classmethod
    def is_late(
        cls,
        name: str,
        *,
        at: datetime.datetime,
        interval: datetime.timedelta,
        grace: datetime.timedelta,
    ) -> bool:
        """Return whether the next beat has been due for longer than ``grace``."""
        on_time = cls._awaited(at=at - grace, longest=interval + grace)
        return not cls.objects.filter(on_time, name=name).exists()

    @staticmethod
    def _awaited(*, at: datetime.datetime, longest: datetime.timedelta) -> models.Q:
        """Return the rows whose time is still to come.

        A time further ahead than ``longest`` comes from a clock that was wrong, and has passed.
        """
        return models.Q(due_at__gt=at, due_at__lte=at + longest + clock.TOLERANCE)

    @classmethod
    def alive(
        cls, *, at: datetime.datetime, silence: datetime.timedelta
    ) -> models.QuerySet[Heartbeat]:
        """Return those that showed life in the last ``silence``, and not in the future."""
        return cls.objects.filter(beat_at__gt=at - silence, beat_at__lte=at + clock.TOLERANCE)

    @classmethod
    def show_life(cls, name: str, *, at: datetime.datetime, skew_seconds: float = 0.0) -> None:
        """Record that something lives; more than once a second is not worth a write.

        ``skew_seconds``: by how much the clock of its machine is ahead.
        """
        if cls.alive(at=at, silence=datetime.timedelta(seconds=1)).filter(name=name).exists():
            return
        # Not update_or_create: several processes of one cluster would wait for each other's locks.
        values = {"beat_at": at, "skew_seconds": round(skew_seconds, 3)}
        if not cls.objects.filter(name=name).update(**values):
            cls.objects.get_or_create(name=name, defaults=values | {"due_at": at})

    @classmethod
    def last(cls, name: str) -> datetime.datetime | None:
        """Return when something last showed life."""
        return cls.objects.filter(name=name).values_list("beat_at", flat=True).first()

    @classmethod
    def prune(cls, *, before: datetime.datetime, most: int) -> None:
        """Forget workers that have shown no life since, at most ``most``."""
        dead = cls.objects.filter(name__contains="@", beat_at__lt=before).order_by("pk")
        cls.objects.filter(pk__in=list(dead.values_list("pk", flat=True)[:most])).delete()

    @classmethod
    def tell(
        cls, name: str, note: str, *, at: datetime.datetime, until: datetime.datetime | None = None
    ) -> None:
        """Record a component's problem and since when it lasts; '' clears it.

        ``until``: when the component is tried again, kept as ``due_at``; default: ``at``.
        """
        until = until or at
        known = cls.objects.filter(name=name).first()
        if known is None and note:
            defaults = {"note": note, "beat_at": at, "due_at": until, "failures": 1}
            cls.objects.get_or_create(name=name, defaults=defaults)
        elif known is not None and note:
            since = known.beat_at if known.note else at
            # Counted in the database, for others may report at the same time.
            count = models.F("failures") + 1 if known.note else 1
            rows = cls.objects.filter(pk=known.pk)
            rows.update(note=note, beat_at=since, due_at=until, failures=count)
        elif known is not None and known.note:
            cls.objects.filter(pk=known.pk).update(note="", beat_at=at, due_at=at, failures=0)

    @classmethod
    def has_problem(cls, name: str) -> bool:
        """Return whether a problem of a component is on record: one look into an index."""
        table = cls._meta.db_table
        return bool(fetch(f"SELECT 1 FROM {table} WHERE name = %s AND note <> ''", [name]))  # noqa: S608

    @classmethod
    def problems(cls) -> list[Heartbeat]:
        """Return what is wrong now, the oldest first."""
        return list(cls.objects.exclude(note="").order_by("beat_at", "pk"))
