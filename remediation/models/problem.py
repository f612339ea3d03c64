"""Current problems of jobs, of StackStorm and of machines."""

from __future__ import annotations

import datetime
import logging

from django.db import models
from django.db.models import F

from remediation import clock

logger = logging.getLogger(__name__)


class Problem(models.Model):
    """A component that fails now; the row is deleted when the component works.

    ``next_try_at``: when the component is called next. ``failures``: consecutive failures.
    """

    name = models.CharField(max_length=50, unique=True)
    text = models.TextField()
    since = models.DateTimeField()
    reported_at = models.DateTimeField()
    next_try_at = models.DateTimeField()
    failures = models.PositiveIntegerField(default=1, db_default=1)

    class Meta:
        db_table = "problems"

    def __str__(self) -> str:
        return self.name

    @classmethod
    def report(
        cls,
        name: str,
        text: str,
        *,
        at: datetime.datetime,
        next_try_at: datetime.datetime | None = None,
    ) -> None:
        """Record a component's current problem and its start; ``next_try_at`` defaults to now."""
        values = {"text": text, "reported_at": at, "next_try_at": next_try_at or at}
        # The database counts, because other processes may report at the same time.
        known = cls.objects.filter(name=name)
        if not known.update(failures=F("failures") + 1, **values):
            _, is_new = cls.objects.get_or_create(name=name, defaults=values | {"since": at})
            if is_new:
                extra = {"event": "problem.began", "problem": name}
                logger.warning("Problem %s began: %s", name, text, extra=extra)

    @classmethod
    def clear(cls, name: str) -> None:
        """Record that the component works."""
        known = cls.objects.filter(name=name).first()
        if known is None:
            return
        deleted, _ = cls.objects.filter(pk=known.pk).delete()
        # Of several processes, one deletes the row.
        if deleted:
            seconds = round((clock.now() - known.since).total_seconds(), 1)
            logger.info(
                "Problem %s ended after %s s and %s failures",
                name,
                seconds,
                known.failures,
                extra={"event": "problem.ended", "problem": name, "seconds": seconds},
            )

    @classmethod
    def is_current(cls, name: str) -> bool:
        """Return whether the component has a problem, by one look-up in an index."""
        return cls.objects.filter(name=name).exists()
