"""One attempt of one step of a run, or one task of a StackStorm workflow."""

from __future__ import annotations

import datetime
from typing import Any, ClassVar

from django.db import models, transaction

from remediation import clock
from remediation.models.action import Action
from remediation.models.alert import Alert
from remediation.models.bucket import Bucket
from remediation.models.fields import ExactCharField, KeyField, created_field, one_of
from remediation.models.ids import new_id
from remediation.models.run import BucketRun
from remediation.models.statements import compare_and_set
from remediation.models.transition import (
    Cause,
    IllegalTransitionError,
    Transition,
    TransitionBatch,
)
from remediation.values.text import fit_text

LAST = 1_000  # the priority of what has none


def new_trace_tag() -> str:
    """Return the name under which StackStorm will know one execution of ours."""
    return f"poundcake-{new_id()}"


class ActionExecution(models.Model):
    """One attempt of one step; ``step_order`` 0 is a whole workflow.

    pending -> launching -> running -> success | failure | timeout | skipped | unknown
    launching -> pending, when StackStorm cannot have got the request
    pending -> running, when StackStorm's answer to an earlier launch comes late
    unknown -> success | failure | timeout | skipped, by a late answer or by a person

    Only a pending row without ``st2_execution_id`` can be claimed. ``due_at`` says when the row
    wants attention next: to be launched, polled, woken from a wait, or, while launching, when
    its worker's lease ends. A final row has none. Rows with ``parent`` are tasks of a workflow:
    they are written as StackStorm reports them and are never work.
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
    # Of a step that a retry does not repeat: the execution whose result counts for it.
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
    # Of what waits to be launched the lowest goes first; it comes from the alert's severity.
    priority = models.PositiveSmallIntegerField(default=LAST, db_default=LAST)
    # Of launches without an answer: how many there were, until when each is looked up, and the
    # StackStorm executions that were deleted because nothing had ever taken them up.
    unanswered_launches = models.PositiveSmallIntegerField(default=0)
    # Of these, the launches that a proxy before StackStorm answered (502, 503, 504).
    refused_launches = models.PositiveSmallIntegerField(default=0, db_default=0)
    lookup_until = models.DateTimeField(null=True, blank=True)
    # How many workers began to prepare the row since its last claim, and until when the one that
    # does so now holds it. A count without a claim means that a worker died or hung.
    prepare_attempts = models.PositiveSmallIntegerField(default=0, db_default=0)
    preparing_until = models.DateTimeField(null=True, blank=True)
    st2_ghost_ids = models.JSONField(default=list, blank=True)
    # When StackStorm is asked next whether somebody ran it again there; NULL: never.
    reruns_due_at = models.DateTimeField(null=True, blank=True)
    created_at = created_field()
    started_at = models.DateTimeField(null=True, blank=True)
    running_at = models.DateTimeField(null=True, blank=True)
    # Since when StackStorm waits for a person's answer.
    asking_since = models.DateTimeField(null=True, blank=True)
    # The inquiries that are open in StackStorm, also after the end of this row (see
    # engine/inquiries.py), and when StackStorm was last asked for them.
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
            # Lists, newest first, and what nobody has started for too long.
            models.Index(fields=["status", "created_at"], name="execution_status_created"),
            models.Index(fields=["created_at"], name="execution_created"),
            models.Index(fields=["reruns_due_at"], name="execution_reruns_due"),
            # What waits to be launched, in its order: read without a look at the rows.
            models.Index(
                fields=["status", "executed_via_stackstorm", "priority", "bucket", "due_at"],
                name="execution_launch",
            ),
            # What is to be polled, looked up, rescued or, as a local action, carried out.
            models.Index(
                fields=["executed_via_stackstorm", "status", "due_at"], name="execution_due"
            ),
        ]

    def __str__(self) -> str:
        return f"#{self.pk}: {self.name}"

    @property
    def is_in_hand(self) -> bool:
        """Whether a worker prepares the row at this moment, by the shared clock."""
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
    ) -> ActionExecution:
        """Return the unsaved execution of one step of the run's plan, due at ``at``."""
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
            trace_tag=new_trace_tag(),
            due_at=at,
            priority=priority,
        )

    def record(
        self, *, cause: Cause, reason: str = "", batch: TransitionBatch | None = None
    ) -> None:
        """Write the transition of a row that was just made."""
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
        """Reserve the row for the calling worker, before anything is called."""
        self._move(
            self.Status.LAUNCHING,
            cause=cause,
            batch=batch,
            due_at=lease_until,
            started_at=cause.at,
            lookup_until=None,
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
        """Have a launch without an answer looked up: it may have reached StackStorm or not.

        ``by_gateway``: a proxy answered, so it never counts as a launch that nobody answered.
        """
        # Of this very claim: a worker that was stopped may come here after another one claimed it.
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
        """Make a pending row due later; its status stays."""
        pending = {"status": self.Status.PENDING}
        if compare_and_set(self, expected=pending, due_at=due_at, error_message=reason):
            self.due_at, self.error_message = due_at, reason

    def release(
        self, *, cause: Cause, reason: str, due_at: datetime.datetime, **values: Any
    ) -> None:
        """Give the row back: what it wanted to call cannot have got the request."""
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
        """Record that it was started, with the ids that StackStorm gave it."""
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
        """End in a final status, or rest as unknown; ``reason`` is what the operator reads."""
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
        # One update compares and sets: of two workers, one sees 1 row and the other sees 0. The
        # time of the claim tells a worker that was away for long from the one that came after it.
        before = self.status
        # So does StackStorm's id: a poll that read the row before it followed another execution
        # must not settle it with the outcome of the first.
        expected = {
            "status": before,
            "started_at": self.started_at,
            "st2_execution_id": self.st2_execution_id,
        }
        if "error_message" in values:
            values["error_message"] = fit_text(values["error_message"])
        if target == self.Status.LAUNCHING:
            expected |= {"st2_execution_id": None, "parent": None}
        with transaction.atomic(savepoint=False):
            is_moved = before in self.MOVES[target] and compare_and_set(
                self, expected=expected, status=target, **values
            )
            if is_moved:
                Transition.write(
                    Transition.of(
                        self, cause=cause, from_status=before, to_status=target, reason=reason
                    ),
                    batch=batch,
                )
        if not is_moved:
            raise IllegalTransitionError(f"Execution {self} cannot become {target}.")
        self.status = target
        for name, value in values.items():
            setattr(self, name, value)
