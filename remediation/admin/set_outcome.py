"""What people do with executions of which nobody knows how they ended."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django import forms

from remediation.admin.operations import Operation, ReasonForm, Result
from remediation.engine.operations import set_outcome
from remediation.models import ActionExecution, BucketRun, Cause

Status = ActionExecution.Status


class OutcomeForm(ReasonForm):
    """How it ended, and how the person knows."""

    field_order = ["status", "reason"]
    status = forms.ChoiceField(
        label="How it ended",
        widget=forms.RadioSelect,
        choices=[
            (Status.SUCCESS, "success: it was done; the next step follows"),
            (Status.FAILURE, "failure: it was not done, or went wrong"),
            (Status.TIMEOUT, "timeout: it took too long; treated like a failure"),
            (Status.SKIPPED, "skipped: it did not run and is not needed; the next step follows"),
        ],
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["reason"].help_text = "How you know; it stands on the record with your name"


class SetOutcome(Operation[ActionExecution]):
    """Say how an execution ended; its run goes on."""

    name = "set_outcome"
    url_segment = "set-outcome"
    label = "Set outcome"
    description = "Your word settles it for good, and the run goes on as if it had come in time."
    form = OutcomeForm

    def is_available(self, row: ActionExecution) -> bool:
        """Offer it where a run waits for it; the task of a workflow holds up nothing."""
        return row.status == Status.UNKNOWN and row.parent_id is None

    def warnings(self, row: ActionExecution) -> Sequence[str]:
        """Tell what would start at once."""
        if row.run.stop != BucketRun.Stop.NO:
            return ["The run is to stop: nothing more of it starts, whatever you say."]
        attempts = row.run.plan.step(row.step_order)["max_attempts"] if not row.parent_id else 1
        if row.attempt >= attempts:
            return []
        return [
            f"Attempt {row.attempt} of {attempts}: after failure or timeout the next attempt starts"
            " by itself. Make sure that nothing of this one still runs."
        ]

    def perform(self, row: ActionExecution, data: dict[str, Any], *, cause: Cause) -> Result:
        """Settle it."""
        status = Status(data["status"])
        set_outcome.set_outcome(row, status, reason=data["reason"], cause=cause)
        return Result(f"Execution {row} is judged: {status}. Its run goes on.", row.run)
