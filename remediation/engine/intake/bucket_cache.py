"""A cache of compiled buckets, validated against the database.

Each notification reads the bucket rows, so a change takes effect at once in every process, whether
made in the admin, by the API or by SQL. Matchers and plans are rebuilt only if the rows differ from
the cached ones.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property

from remediation.matching import Matcher
from remediation.models import Bucket, BucketVersion, Cause
from remediation.models.raw_sql import Rows, bucket_rows, step_rows, workflow_rows


class Snapshot:
    """All buckets at the time their rows were read. Threads share it, so its buckets never change.

    ``rows``: the raw rows; two snapshots are equal if their rows are.
    """

    def __init__(self, rows: Rows, buckets: Iterable[Bucket]) -> None:
        self.rows = rows
        self.by_id = {bucket.pk: bucket for bucket in buckets}
        self.newest_versions = {row[0]: row[-1] for row in rows}
        self.plans: dict[int, tuple[Rows, BucketVersion]] = {}

    @cached_property
    def enabled(self) -> dict[str, Matcher]:
        """The matcher of the enabled buckets, by trigger."""
        return self._matchers(is_enabled=True)

    @cached_property
    def disabled(self) -> dict[str, Matcher]:
        """The matcher of the disabled buckets, by trigger."""
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
        """Return the version of a bucket's current definition; create it if it is new."""
        rows = _definition(self.by_id[bucket_id])
        known = self.plans.get(bucket_id)
        if known and known[0] == rows:
            return known[1]
        plan = BucketVersion.record(Bucket.objects.get(pk=bucket_id), cause=cause)
        # A version created here is not cached: this transaction may be rolled back.
        if plan.pk == self.newest_versions[bucket_id]:
            self.plans[bucket_id] = (rows, plan)
        return plan


class _Cache:
    """The snapshot of this process."""

    snapshot = Snapshot((), ())


def current() -> Snapshot:
    """Return a snapshot of the buckets in the database."""
    rows = bucket_rows()
    snapshot = _Cache.snapshot
    if rows != snapshot.rows:
        snapshot = Snapshot(rows, Bucket.objects.filter(pk__in=[row[0] for row in rows]))
        _Cache.snapshot = snapshot
    return snapshot


def _definition(bucket: Bucket) -> Rows:
    """Return the rows of a bucket's steps and their actions."""
    rows = step_rows(bucket.pk)
    if bucket.use_stackstorm:
        rows += workflow_rows(bucket.workflow_ref)
    return rows
