"""The buckets as they are now, compiled once for as long as nobody changes them.

What decides is read from the database for every notification, as plain rows: so a change counts at
once, in every process, whether it was made in admin, over the API or by SQL. Only where the rows
differ from those of the last time is anything compiled or built anew.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property, lru_cache
from typing import Any

from remediation.matching import Matcher
from remediation.models import Action, Bucket, BucketStep, BucketVersion, Cause
from remediation.models.statements import fetch

Rows = tuple[tuple[Any, ...], ...]


class Catalogue:
    """All buckets, as they were when their rows were read. Shared between threads: never changed.

    ``rows``: what was read of them; equal rows make equal catalogues.
    """

    def __init__(self, rows: Rows, buckets: Iterable[Bucket]) -> None:
        self.rows = rows
        self.by_id = {bucket.pk: bucket for bucket in buckets}
        self.newest = {row[0]: row[-1] for row in rows}
        self.plans: dict[int, tuple[Rows, BucketVersion]] = {}

    @cached_property
    def enabled(self) -> dict[str, Matcher]:
        """The matcher of the enabled buckets, for each of their triggers."""
        return self._matchers(is_enabled=True)

    @cached_property
    def disabled(self) -> dict[str, Matcher]:
        """The matcher of the disabled buckets, for each of their triggers."""
        return self._matchers(is_enabled=False)

    def _matchers(self, *, is_enabled: bool) -> dict[str, Matcher]:
        chosen = [bucket for bucket in self.by_id.values() if bucket.is_enabled == is_enabled]
        return {
            str(trigger_on): Matcher(
                bucket.spec for bucket in chosen if bucket.trigger_on == trigger_on
            )
            for trigger_on in Bucket.TriggerOn
        }

    def plan(self, bucket_id: int, *, cause: Cause) -> BucketVersion:
        """Return the version of a bucket's whole definition as it is now, made if it is new."""
        rows = _definition(self.by_id[bucket_id])
        known = self.plans.get(bucket_id)
        if known and known[0] == rows:
            return known[1]
        plan = BucketVersion.record(Bucket.objects.get(pk=bucket_id), cause=cause)
        # One that is made here is kept the next time: this transaction may yet be rolled back.
        if plan.pk == self.newest[bucket_id]:
            self.plans[bucket_id] = (rows, plan)
        return plan


class _Latest:
    """The catalogue that was right the last time."""

    catalogue = Catalogue((), ())


def current() -> Catalogue:
    """Return the catalogue of what the database holds now."""
    rows = fetch(_buckets_sql())
    latest = _Latest.catalogue
    if rows != latest.rows:
        latest = Catalogue(rows, Bucket.objects.filter(pk__in=[row[0] for row in rows]))
        _Latest.catalogue = latest
    return latest


def _definition(bucket: Bucket) -> Rows:
    """Return what the database holds of a bucket's steps and their actions."""
    rows = fetch(_steps_sql(), [bucket.pk])
    if bucket.use_stackstorm:
        rows += fetch(_workflow_sql(), [bucket.workflow_ref])
    return rows


@lru_cache(maxsize=1)
def _buckets_sql() -> str:
    columns = ", ".join(f"b.{field.column}" for field in Bucket._meta.concrete_fields)
    return (
        f"SELECT {columns}, (SELECT v.id FROM {BucketVersion._meta.db_table} v"  # noqa: S608
        " WHERE v.bucket_id = b.id ORDER BY v.number DESC LIMIT 1)"
        f" FROM {Bucket._meta.db_table} b ORDER BY b.id"
    )


@lru_cache(maxsize=1)
def _steps_sql() -> str:
    return (
        f"SELECT s.*, a.* FROM {BucketStep._meta.db_table} s"  # noqa: S608
        f" JOIN {Action._meta.db_table} a ON a.id = s.action_id"
        " WHERE s.bucket_id = %s ORDER BY s.id"
    )


@lru_cache(maxsize=1)
def _workflow_sql() -> str:
    return (
        f"SELECT a.* FROM {Action._meta.db_table} a"  # noqa: S608
        " WHERE a.action_type = 'workflow' AND a.st2_action_ref = %s ORDER BY a.id"
    )
