"""Bucket versions: change history, restore points and the plans of runs."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from django.db import models, transaction

from remediation.models.actor import Cause, actor_kind_field
from remediation.models.bucket import Bucket
from remediation.models.fields import ExactCharField
from remediation.models.transition import AppendOnlyManager, AppendOnlyModel


def canonical(definition: dict[str, Any]) -> str:
    """Return the canonical JSON of a definition: equal definitions have equal texts."""
    return json.dumps(definition, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def digest(definition: dict[str, Any]) -> str:
    """Return the sha256 of a definition."""
    return hashlib.sha256(canonical(definition).encode()).hexdigest()


class BucketVersion(AppendOnlyModel):
    """The definition of a bucket with its steps and actions, numbered from 1."""

    bucket = models.ForeignKey(Bucket, on_delete=models.PROTECT, related_name="versions")
    number = models.PositiveIntegerField()
    definition = models.JSONField()
    sha256 = ExactCharField(max_length=64, db_index=True)
    actor = models.CharField(max_length=150)
    actor_kind = actor_kind_field()
    created_at = models.DateTimeField()

    objects = AppendOnlyManager()

    class Meta:
        db_table = "bucket_versions"
        constraints = [
            models.UniqueConstraint(fields=["bucket", "number"], name="bucket_version_number")
        ]

    def __str__(self) -> str:
        return f"{self.bucket_id} version {self.number}"

    @classmethod
    def record(cls, bucket: Bucket, *, cause: Cause) -> BucketVersion:
        """Return the bucket's current version; create it if the newest one differs."""
        newest = cls._newest(bucket)
        if newest and newest.sha256 == digest(bucket.definition()):
            return newest
        with transaction.atomic():
            # The bucket may have been read before another edit was committed. Under the lock it
            # matches its newest version, and each number is used once.
            locked = Bucket.objects.select_for_update().get(pk=bucket.pk)
            newest, definition = cls._newest(locked), locked.definition()
            if newest and newest.sha256 == digest(definition):
                return newest
            return cls.objects.create(
                bucket=locked,
                number=newest.number + 1 if newest else 1,
                definition=definition,
                sha256=digest(definition),
                actor=cause.actor,
                actor_kind=cause.actor_kind,
                created_at=cause.at,
            )

    @classmethod
    def _newest(cls, bucket: Bucket) -> BucketVersion | None:
        return cls.objects.filter(bucket=bucket).order_by("number").last()

    @property
    def steps(self) -> list[dict[str, Any]]:
        """The steps in order."""
        steps: list[dict[str, Any]] = self.definition["steps"]
        return steps

    @property
    def on_resolved(self) -> str:
        """What to do with a started run when its alert resolves: continue, stop or cancel."""
        return str(self.definition["bucket"]["on_resolved"])

    @property
    def timeout_seconds(self) -> int:
        """The time limit of a run; 0 means none."""
        seconds: int = self.definition["bucket"]["timeout_seconds"]
        return seconds

    @property
    def problem(self) -> str:
        """Why this definition cannot run, naming the field, or ''."""
        if not self.steps:
            return (
                "The bucket has no steps: add at least one, or name a workflow in"
                " st2_workflow_name with use_stackstorm on."
            )
        if self.definition["bucket"]["use_stackstorm"] and len(self.steps) > 1:
            return (
                "The bucket has steps and a workflow (use_stackstorm, st2_workflow_name):"
                " remove one of them."
            )
        return ""

    def step(self, step_order: int) -> dict[str, Any]:
        """Return the step with this ``step_order``."""
        return next(step for step in self.steps if step["step_order"] == step_order)
