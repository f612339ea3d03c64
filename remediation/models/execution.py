"""Executions: one attempt of a step, or one task of a StackStorm workflow."""

from __future__ import annotations

import datetime
from typing import Any, ClassVar

from django.db import models

from remediation import clock
from remediation.models.action import Action
from remediation.models.actor import Cause
from remediation.models.alert import Alert
from remediation.models.bucket import Bucket
from remediation.models.fields import ExactCharField, KeyField, created_field, one_of
from remediation.models.moves import move
from remediation.models.raw_sql import compare_and_set
from remediation.models.run import BucketRun
from remediation.models.trace_tags import new_trace_tag
from remediation.models.transition import (
    Transition,
    TransitionBatch,
)
from remediation.values.text import fit_text

LOWEST_PRIORITY = 1_000  # the default


class ActionExecution(models.Model):
    """One attempt of one step; ``step_order`` 0 is a workflow.

    pending -> launching -> running -> success | failure | timeout | skipped | unknown
    launching -> pending, if StackStorm cannot have received the request
    pending -> running, if the response to an earlier launch arrives late
    unknown -> success | failure | timeout | skipped, by a late response or by an operator

    Only a pending row without ``st2_execution_id`` can be claimed. ``due_at``: when the row must be
    processed next (launch, poll or end of a wait) or, while launching, when its worker's lease
    ends. A final row has none. Rows with ``parent`` are tasks of a workflow: they store
    StackStorm's reports and are never claimed.
    """

    class Status(models.TextChoices):
        PENDING = "pending"
        LAUNCHING = "launching"
        RUNNING = "running"
        SUCCESS = "success"
        FAILURE = "failure"
        TIMEOUT = "timeout"
        SKIPPED = "skipped"
        UNKNOWN = "unknown"

    SUBJECT_TYPE: ClassVar[str] = "execution"
    NOUN: ClassVar[str] = "Execution"
    FINAL = frozenset({Status.SUCCESS, Status.FAILURE, Status.TIMEOUT, Status.SKIPPED})
    FAILED = frozenset({Status.FAILURE, Status.TIMEOUT})
    MOVES = {
        Status.LAUNCHING: (Status.PENDING,),
        Status.PENDING: (Status.LAUNCHING,),
        Status.RUNNING: (Status.PENDING, Status.LAUNCHING, Status.UNKNOWN),
        Status.SUCCESS: (Status.LAUNCHING, Status.RUNNING, Status.UNKNOWN),
        Status.FAILURE: (Status.LAUNCHING, Status.RUNNING, Status.UNKNOWN),
        Status.TIMEOUT: (Status.PENDING, Status.LAUNCHING, Status.RUNNING, Status.UNKNOWN),
        Status.SKIPPED: (Status.PENDING, Status.LAUNCHING, Status.RUNNING, Status.UNKNOWN),
        Status.UNKNOWN: (Status.LAUNCHING, Status.RUNNING),
    }

    request_id = KeyField(max_length=64, db_index=True)
    run = models.ForeignKey(BucketRun, on_delete=models.PROTECT, related_name="executions")
    alert = models.ForeignKey(Alert, on_delete=models.PROTECT, related_name="executions")
    bucket = models.ForeignKey(Bucket, on_delete=models.PROTECT, related_name="executions")
    action = models.ForeignKey(
        Action, null=True, blank=True, on_delete=models.PROTECT, related_name="executions"
    )
    parent = models.ForeignKey(
        "self", null=True, blank=True, on_delete=models.PROTECT, related_name="tasks"
    )
    # For a step that a retry does not run: the execution whose result is used.
    done_in = models.ForeignKey(
        "self", null=True, blank=True, on_delete=models.PROTECT, related_name="reused_by"
    )
    step_order = models.PositiveIntegerField()
    attempt = models.PositiveIntegerField(default=1)
    name = models.CharField(max_length=200, blank=True)
    status = models.CharField(max_length=20, choices=Status, default=Status.PENDING)
    parameters = models.JSONField(default=dict, blank=True)
    executed_via_stackstorm = models.BooleanField(default=True)
    trace_tag = KeyField(max_length=64, null=True, blank=True, unique=True)
    st2_execution_id = KeyField(max_length=100, null=True, blank=True, unique=True)
    st2_liveaction_id = KeyField(max_length=100, null=True, blank=True)
    st2_action_execution_status = ExactCharField(max_length=50, blank=True)
    st2_web_url = models.TextField(blank=True)
    st2_result = models.JSONField(null=True, blank=True)
    error_message = models.TextField(blank=True)
    due_at = models.DateTimeField(null=True, blank=True)
    # Lowest first in the launch order; from the alert's severity.
    priority = models.PositiveSmallIntegerField(default=LOWEST_PRIORITY, db_default=LOWEST_PRIORITY)
    # Launches without a response: their number, the end of the look-up, and ghosts (StackStorm
    # executions that never began and were deleted, see st2_ghost_ids).
    unanswered_launches = models.PositiveSmallIntegerField(default=0)
    # The number of these that a proxy in front of StackStorm answered (502, 503, 504).
    refused_launches = models.PositiveSmallIntegerField(default=0, db_default=0)
    lookup_until = models.DateTimeField(null=True, blank=True)
    # How many workers began to prepare the row since its last claim, and the end of the current
    # one's lease. A count without a claim means that a worker died or hung.
    prepare_attempts = models.PositiveSmallIntegerField(default=0, db_default=0)
    preparing_until = models.DateTimeField(null=True, blank=True)
    st2_ghost_ids = models.JSONField(default=list, blank=True)
    # The next look-up of re-runs in StackStorm; NULL: never.
    reruns_due_at = models.DateTimeField(null=True, blank=True)
    created_at = created_field()
    started_at = models.DateTimeField(null=True, blank=True)
    running_at = models.DateTimeField(null=True, blank=True)
    # When StackStorm began to wait for a response to an inquiry.
    asking_since = models.DateTimeField(null=True, blank=True)
    # The inquiries that are open in StackStorm, also after the end of this row (see
    # engine/outcomes/stored_inquiries.py), and when they were last requested.
    inquiries = models.JSONField(default=list, db_default=[], blank=True)
    inquiries_checked_at = models.DateTimeField(null=True, blank=True)
    completed_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        db_table = "action_executions"
        verbose_name = "execution"
        constraints = [
            models.UniqueConstraint(
                fields=["run", "step_order", "attempt"], name="execution_attempt"
            ),
            one_of(
                "status",
                [
                    "pending",
                    "launching",
                    "running",
                    "success",
                    "failure",
                    "timeout",
                    "skipped",
                    "unknown",
                ],
                name="execution_status",
            ),
        ]
        indexes = [
            # Lists, newest first, and executions that waited too long.
            models.Index(fields=["status", "created_at"], name="execution_status_created"),
            models.Index(fields=["created_at"], name="execution_created"),
            models.Index(fields=["reruns_due_at"], name="execution_reruns_due"),
            # Executions to launch, in launch order: answered by the index alone.
            models.Index(
                fields=["status", "executed_via_stackstorm", "priority", "bucket", "due_at"],
                name="execution_launch",
            ),
            # Executions to poll, look up, recover or, for local actions, run.
            models.Index(
                fields=["executed_via_stackstorm", "status", "due_at"], name="execution_due"
            ),
        ]

    def __str__(self) -> str:
        return f"#{self.pk}: {self.name}"

    @property
    def is_reserved(self) -> bool:
        """Whether a worker is preparing the row now, by the shared clock."""
        return self.preparing_until is not None and self.preparing_until > clock.now()

    @property
    def story_run_id(self) -> int:
        """The run that the execution belongs to."""
        return self.run_id

    @classmethod
    def of_step(
        cls,
        run: BucketRun,
        step: dict[str, Any],
        *,
        at: datetime.datetime,
        priority: int,
        attempt: int = 1,
        trace_tag: str = "",
    ) -> ActionExecution:
        """Return an unsaved execution of a step of the run's plan, due at ``at``.

        ``trace_tag``: see ``trace_tags``; default: a random one.
        """
        return cls(
            request_id=run.request_id,
            run=run,
            alert_id=run.alert_id,
            bucket_id=run.bucket_id,
            action_id=step["action"]["id"],
            step_order=step["step_order"],
            attempt=attempt,
            name=step["name"],
            executed_via_stackstorm=step["action"]["use_stackstorm"],
            trace_tag=trace_tag or new_trace_tag(),
            due_at=at,
            priority=priority,
        )

    def record(
        self, *, cause: Cause, reason: str = "", batch: TransitionBatch | None = None
    ) -> None:
        """Write the first transition of a new row."""
        Transition.write(
            Transition.of(self, cause=cause, from_status="", to_status=self.status, reason=reason),
            batch=batch,
        )

    def claim(
        self,
        *,
        cause: Cause,
        lease_until: datetime.datetime,
        batch: TransitionBatch | None = None,
        **values: Any,
    ) -> None:
        """Reserve the row for the calling worker, before it calls anything."""
        self._claim(cause=cause, batch=batch, due_at=lease_until, lookup_until=None, **values)

    def claim_for_lookup(
        self,
        *,
        cause: Cause,
        until: datetime.datetime,
        reason: str,
        batch: TransitionBatch | None = None,
    ) -> None:
        """Search StackStorm until ``until`` for an earlier launch of the row, starting now."""
        self._claim(
            cause=cause,
            batch=batch,
            reason=reason,
            due_at=cause.at,
            lookup_until=until,
            error_message=f"Looking for the execution in StackStorm: {reason}.",
        )

    def _claim(
        self, *, cause: Cause, batch: TransitionBatch | None, reason: str = "", **values: Any
    ) -> None:
        self._move(
            self.Status.LAUNCHING,
            cause=cause,
            reason=reason,
            batch=batch,
            started_at=cause.at,
            prepare_attempts=0,
            preparing_until=None,
            **values,
        )

    def await_lookup(
        self,
        *,
        at: datetime.datetime,
        until: datetime.datetime,
        why: str,
        by_gateway: bool = False,
    ) -> None:
        """Schedule the look-up of a launch without a response, which StackStorm may have received.

        ``by_gateway``: a proxy responded, so the launch is counted as refused, too.
        """
        # Only for this claim: another worker may have claimed the row while this one was stopped.
        row = ActionExecution.objects.filter(
            pk=self.pk, status=self.Status.LAUNCHING, started_at=self.started_at
        )
        row.filter(lookup_until=None).update(
            due_at=at,
            lookup_until=until,
            unanswered_launches=models.F("unanswered_launches") + 1,
            refused_launches=models.F("refused_launches") + int(by_gateway),
            error_message=fit_text(why),
        )
        self.refresh_from_db()

    def postpone(self, due_at: datetime.datetime, *, reason: str) -> None:
        """Make a pending row due later without a status change."""
        pending = {"status": self.Status.PENDING}
        if compare_and_set(self, expected=pending, due_at=due_at, error_message=reason):
            self.due_at, self.error_message = due_at, reason

    def release(
        self, *, cause: Cause, reason: str, due_at: datetime.datetime, **values: Any
    ) -> None:
        """Return the row to pending: the request cannot have been received."""
        self._move(
            self.Status.PENDING,
            cause=cause,
            reason=reason,
            due_at=due_at,
            error_message=reason,
            **values,
        )

    def mark_running(
        self,
        *,
        cause: Cause,
        due_at: datetime.datetime,
        reason: str = "",
        batch: TransitionBatch | None = None,
        **values: Any,
    ) -> None:
        """Record the start, with StackStorm's ids."""
        self._move(
            self.Status.RUNNING,
            cause=cause,
            reason=reason,
            batch=batch,
            due_at=due_at,
            error_message="",
            **values,
        )

    def finish(
        self,
        status: ActionExecution.Status,
        *,
        cause: Cause,
        reason: str = "",
        batch: TransitionBatch | None = None,
        **values: Any,
    ) -> None:
        """Set a final status, or unknown; the operator reads ``reason``."""
        ended = {"due_at": None, "error_message": reason, "completed_at": cause.at}
        self._move(status, cause=cause, reason=reason, batch=batch, **ended | values)

    def _move(
        self,
        target: ActionExecution.Status,
        *,
        cause: Cause,
        reason: str = "",
        batch: TransitionBatch | None = None,
        **values: Any,
    ) -> None:
        # The time of the claim distinguishes a worker that was frozen from its successor.
        # StackStorm's id is compared too: a poll that read the row before it followed another
        # execution must not settle it with the outcome of the first one.
        expected: dict[str, Any] = {
            "started_at": self.started_at,
            "st2_execution_id": self.st2_execution_id,
        }
        if target == self.Status.LAUNCHING:
            expected |= {"st2_execution_id": None, "parent": None}
        if "error_message" in values:
            values["error_message"] = fit_text(values["error_message"])
        move(self, target, values, expected=expected, cause=cause, reason=reason, batch=batch)
