"""Runs: one bucket executed for one alert."""

from __future__ import annotations

import datetime
from typing import Any, ClassVar

from django.db import models, transaction

from remediation.models.actor import Cause, actor_kind_field
from remediation.models.alert import Alert
from remediation.models.bucket import Bucket
from remediation.models.bucket_version import BucketVersion
from remediation.models.fields import ExactCharField, KeyField, created_field, one_of
from remediation.models.moves import move
from remediation.models.raw_sql import compare_and_set
from remediation.models.transition import (
    IllegalTransitionError,
    Transition,
    TransitionBatch,
)
from remediation.values.text import fit_text


class BucketRun(models.Model):
    """One bucket executed for one alert; the unit of cooldown, cancel and retry.

    pending -> running -> success | failure | timeout | canceled | skipped | unknown
    pending -> skipped (nothing ran) | failure (the plan cannot be executed) | timeout (no step
    started within LAUNCH_TIMEOUT)
    unknown -> running, when the outcome of its execution becomes known or an operator sets it

    ``number`` counts the runs of one bucket for one alert; number 1 is the automatic run.
    """

    class Status(models.TextChoices):
        PENDING = "pending"
        RUNNING = "running"
        SUCCESS = "success"
        FAILURE = "failure"
        TIMEOUT = "timeout"
        SKIPPED = "skipped"
        CANCELED = "canceled"
        UNKNOWN = "unknown"

    class Trigger(models.TextChoices):
        ALERT = "alert"
        RESOLVED = "resolved"
        MANUAL = "manual"
        RETRY = "retry"

    class Stop(models.TextChoices):
        NO = "", "no"
        STOP = "stop"
        CANCEL = "cancel"

    SUBJECT_TYPE: ClassVar[str] = "run"
    NOUN: ClassVar[str] = "Run"
    AUTOMATIC = 1
    OPEN = frozenset({Status.PENDING, Status.RUNNING})
    FINAL = frozenset(
        {Status.SUCCESS, Status.FAILURE, Status.TIMEOUT, Status.SKIPPED, Status.CANCELED}
    )
    MOVES = {
        Status.RUNNING: (Status.PENDING, Status.UNKNOWN),
        Status.SUCCESS: (Status.RUNNING,),
        Status.FAILURE: (Status.RUNNING,),
        Status.TIMEOUT: (Status.PENDING, Status.RUNNING),
        Status.SKIPPED: (Status.PENDING, Status.RUNNING),
        Status.CANCELED: (Status.PENDING, Status.RUNNING),
        Status.UNKNOWN: (Status.RUNNING,),
    }

    request_id = KeyField(max_length=64, db_index=True)
    alert = models.ForeignKey(Alert, on_delete=models.PROTECT, related_name="runs")
    bucket = models.ForeignKey(Bucket, on_delete=models.PROTECT, related_name="runs")
    number = models.PositiveIntegerField(default=AUTOMATIC)
    trigger = models.CharField(max_length=20, choices=Trigger, default=Trigger.ALERT)
    retry_of = models.ForeignKey(
        "self", null=True, blank=True, on_delete=models.PROTECT, related_name="retries"
    )
    actor = ExactCharField(max_length=150, default="system")
    actor_kind = actor_kind_field()
    status = models.CharField(max_length=20, choices=Status, default=Status.PENDING)
    reason = models.TextField(blank=True)
    stop = models.CharField(max_length=20, choices=Stop, default=Stop.NO, blank=True)
    # Shared by all alerts with equal values of the bucket's group_by labels.
    identity = KeyField(max_length=16, blank=True, default="", db_default="")
    # The end of the cooldown that delays a pending run.
    held_until = models.DateTimeField(null=True, blank=True)
    plan = models.ForeignKey(BucketVersion, on_delete=models.PROTECT, related_name="runs")
    created_at = created_field()
    started_at = models.DateTimeField(null=True, blank=True)
    completed_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        db_table = "bucket_runs"
        verbose_name = "run"
        constraints = [
            # Number 1 is unique, so an episode starts one automatic run per bucket.
            models.UniqueConstraint(fields=["alert", "bucket", "number"], name="run_number"),
            one_of(
                "status",
                [
                    "pending",
                    "running",
                    "success",
                    "failure",
                    "timeout",
                    "skipped",
                    "canceled",
                    "unknown",
                ],
                name="run_status",
            ),
            one_of("trigger", ["alert", "resolved", "manual", "retry"], name="run_trigger"),
            one_of("stop", ["", "stop", "cancel"], name="run_stop"),
        ]
        indexes = [
            models.Index(fields=["status", "id"], name="run_status_id"),
            # The last start of a bucket's runs, for its cooldown.
            models.Index(fields=["bucket", "started_at"], name="run_bucket_started"),
            # The few runs to stop among many open ones.
            models.Index(fields=["stop", "status"], name="run_stop_status"),
            # The runs of a bucket, newest first, and the last run of each bucket.
            models.Index(fields=["bucket", "id"], name="run_bucket_id"),
            models.Index(fields=["created_at"], name="run_created"),
        ]

    def __str__(self) -> str:
        return f"#{self.pk}: {self.bucket} for alert {self.alert_id}"

    @property
    def story_run_id(self) -> int:
        """The run itself."""
        return self.pk

    def mark_running(
        self, *, cause: Cause, reason: str = "", batch: TransitionBatch | None = None
    ) -> None:
        """Start or continue: an execution was claimed, or an unknown outcome became known."""
        values = {} if self.started_at else {"started_at": cause.at}
        self._move(
            self.Status.RUNNING,
            cause=cause,
            reason=reason,
            batch=batch,
            completed_at=None,
            **values,
        )

    def hold(
        self,
        until: datetime.datetime,
        *,
        cause: Cause,
        reason: str,
        batch: TransitionBatch | None = None,
    ) -> None:
        """Delay a pending run; a transition from pending to pending records the reason."""
        pending = self.Status.PENDING
        with transaction.atomic(savepoint=False):
            if not compare_and_set(
                self, expected={"status": pending}, held_until=until, reason=reason
            ):
                raise IllegalTransitionError(f"Run {self} is not pending and cannot be held.")
            Transition.write(
                Transition.of(
                    self,
                    cause=cause,
                    from_status=pending,
                    to_status=pending,
                    reason=reason,
                    data={"held_until": until.isoformat()},
                ),
                batch=batch,
            )
        self.held_until, self.reason = until, reason

    def finish(
        self,
        status: BucketRun.Status,
        *,
        cause: Cause,
        reason: str = "",
        batch: TransitionBatch | None = None,
    ) -> None:
        """Set a final status, or unknown until the outcome is known."""
        self._move(status, cause=cause, reason=reason, batch=batch, completed_at=cause.at)

    def _move(
        self,
        target: BucketRun.Status,
        *,
        cause: Cause,
        reason: str,
        batch: TransitionBatch | None,
        **values: Any,
    ) -> None:
        values["reason"] = fit_text(reason)
        move(self, target, values, expected={}, cause=cause, reason=reason, batch=batch)
