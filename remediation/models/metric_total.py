"""Totals of counters and histograms, which outlive processes and the rows that they count."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from django.db import models

from remediation.models.fields import KeyField
from remediation.models.raw_sql import add_to_totals, compare_and_set
from remediation.process_counts import Key

TRANSITIONS = "transitions"
ROWS_MAX = 200  # totals of one statement


class MetricTotal(models.Model):
    """The total of one series. It never falls.

    ``name``: a counter, or a part of a histogram. ``labels``: buckets and actions are stored as
    ids, so that a total keeps its history when they are renamed. ``key``: a digest of both.
    """

    key = KeyField(max_length=64, unique=True)
    name = models.CharField(max_length=100)
    labels = models.JSONField(default=dict)
    value = models.FloatField(default=0.0, db_default=0.0)

    class Meta:
        db_table = "metric_totals"

    def __str__(self) -> str:
        return f"{self.name} {self.labels}: {self.value}"

    @classmethod
    def add(cls, counts: Mapping[Key, float]) -> None:
        """Add to the totals. All processes lock rows in the same order."""
        rows = sorted(_row(key, amount) for key, amount in counts.items())
        for first in range(0, len(rows), ROWS_MAX):
            add_to_totals(rows[first : first + ROWS_MAX])

    @classmethod
    def all(cls) -> dict[Key, float]:
        """Return all totals; those that were counted first come first."""
        rows = cls.objects.order_by("pk").values_list("name", "labels", "value")
        return {(name, tuple(sorted(labels.items()))): value for name, labels, value in rows}


def _row(key: Key, amount: float) -> tuple[str, str, str, float]:
    name, labels = key
    text = json.dumps(dict(labels), sort_keys=True)
    return hashlib.sha256(f"{name}{text}".encode()).hexdigest(), name, text, amount


class MetricPosition(models.Model):
    """How far a table is counted: the rows up to ``position``, except those in ``missing``.

    ``missing``: ``[id, seconds]`` of ids below the position that no committed row had at that time
    (since 1970). Ids are assigned before commit, so such a row may still appear. ``version``:
    changes with each count.
    """

    name = models.CharField(max_length=50, unique=True)
    position = models.BigIntegerField(default=0, db_default=0)
    missing = models.JSONField(default=list, db_default=[])
    version = models.BigIntegerField(default=0, db_default=0)

    class Meta:
        db_table = "metric_positions"

    def __str__(self) -> str:
        return f"{self.name} up to {self.position}"

    @classmethod
    def current(cls) -> MetricPosition:
        """Return the position in the transitions; an unsaved one, at the begin, if it is lost."""
        return cls.objects.filter(name=TRANSITIONS).first() or cls(name=TRANSITIONS)

    def move(self, *, position: int, missing: list[Any]) -> bool:
        """Move to a new position; return False if another process moved it first."""
        if self.pk is None:
            self.pk = type(self).objects.get_or_create(name=self.name)[0].pk
        return compare_and_set(
            self,
            expected={"version": self.version},
            position=position,
            missing=missing,
            version=self.version + 1,
        )
