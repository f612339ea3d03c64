"""When recurring jobs are due, and the lock that lets one process run them."""

from __future__ import annotations

import datetime

from django.db import models
from django.db.models import F

from remediation import clock


class JobSchedule(models.Model):
    """The last start of a recurring job and the time of its next one.

    ``unfinished_starts``: consecutive starts without an end, 0 when the last start ended.
    """

    name = models.CharField(max_length=50, unique=True)
    started_at = models.DateTimeField()
    due_at = models.DateTimeField()
    unfinished_starts = models.PositiveIntegerField(default=0, db_default=0)

    class Meta:
        db_table = "job_schedules"

    def __str__(self) -> str:
        return self.name

    @classmethod
    def start_if_due(
        cls, name: str, *, at: datetime.datetime, interval: datetime.timedelta
    ) -> bool:
        """Start the job if it is due; of several concurrent callers one gets True."""
        cls.objects.get_or_create(name=name, defaults={"started_at": at, "due_at": at})
        due = cls.objects.exclude(cls._waiting(at=at, longest=interval)).filter(name=name)
        return bool(due.update(started_at=at, due_at=at + interval))

    @classmethod
    def is_late(
        cls,
        name: str,
        *,
        at: datetime.datetime,
        interval: datetime.timedelta,
        grace: datetime.timedelta,
    ) -> bool:
        """Return whether the next start has been due for longer than ``grace``."""
        on_time = cls._waiting(at=at - grace, longest=interval + grace)
        return not cls.objects.filter(on_time, name=name).exists()

    @staticmethod
    def _waiting(*, at: datetime.datetime, longest: datetime.timedelta) -> models.Q:
        """Return the condition of jobs that are not due yet.

        A due time further ahead than ``longest`` was written with a wrong clock and counts as due.
        """
        return models.Q(due_at__gt=at, due_at__lte=at + longest + clock.TOLERANCE)

    @classmethod
    def count_start(cls, name: str) -> int:
        """Count a start; return how many consecutive ones before it have not ended."""
        job = cls.objects.filter(name=name)
        unfinished = job.values_list("unfinished_starts", flat=True).first() or 0
        job.update(unfinished_starts=F("unfinished_starts") + 1)
        return unfinished

    @classmethod
    def count_end(cls, name: str) -> None:
        """Record that the last start has ended."""
        cls.objects.filter(name=name).update(unfinished_starts=0)
