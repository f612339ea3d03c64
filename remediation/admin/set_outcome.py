"""The operation that sets the outcome of an unknown execution."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django import forms

from remediation.admin.operations import Operation, ReasonForm, Result
from remediation.engine.operations import set_outcome
from remediation.models import ActionExecution, BucketRun, Cause

Status = ActionExecution.Status


class OutcomeForm(ReasonForm):
    """The outcome and the reason for it."""

    field_order = ["status", "reason"]
    status = forms.ChoiceField(
        label="Outcome",
        widget=forms.RadioSelect,
        choices=[
            (Status.SUCCESS, "success: the action was done; the next step starts"),
            (Status.FAILURE, "failure: the action was not done, or it failed"),
            (Status.TIMEOUT, "timeout: the action took too long; handled like a failure"),
            (Status.SKIPPED, "skipped: the action is not needed; the next step starts"),
        ],
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["reason"].help_text = "How you know the outcome. Recorded with your name"


class SetOutcome(Operation[ActionExecution]):
    """Set the outcome of an unknown execution; its run continues."""

    name = "set_outcome"
    url_segment = "set-outcome"
    label = "Set outcome"
    description = (
        "Sets the final status of this execution. You cannot change it later. The run then"
        " continues as if StackStorm had reported this status."
    )
    form = OutcomeForm

    def is_available(self, row: ActionExecution) -> bool:
        """Offer it for unknown executions, except workflow tasks: no run waits for those."""
        return row.status == Status.UNKNOWN and row.parent_id is None

    def warnings(self, row: ActionExecution) -> Sequence[str]:
        """Warn that the next attempt starts at once, or that the run is stopping."""
        if row.run.stop != BucketRun.Stop.NO:
            return ["The run is stopping: it starts no other step, whatever the outcome."]
        attempts = row.run.plan.step(row.step_order)["max_attempts"] if not row.parent_id else 1
        if row.attempt >= attempts:
            return []
        return [
            f"Attempt {row.attempt} of {attempts}: after failure or timeout the next attempt starts"
            " automatically. First make sure that this attempt no longer runs."
        ]

    def perform(self, row: ActionExecution, data: dict[str, Any], *, cause: Cause) -> Result:
        """Set the outcome."""
        status = Status(data["status"])
        set_outcome.set_outcome(row, status, reason=data["reason"], cause=cause)
        effect = "continues" if row.run.stop == BucketRun.Stop.NO else "starts no other step"
        return Result(f"Set the outcome of execution {row} to {status}. Its run {effect}.", row.run)
