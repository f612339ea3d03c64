"""What people do with runs: stop, cancel, retry."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from remediation.admin.notices import CANCELED_IS_NOT_STOPPED, OPEN
from remediation.admin.operations import Operation, ReasonForm, Result
from remediation.engine import cancel
from remediation.engine.operations import retry
from remediation.models import ActionExecution, Alert, BucketRun, Cause


class Stop(Operation[BucketRun]):
    """Let the step in flight end, and start no other."""

    name = "stop"
    label = "Stop after the step in flight"
    description = (
        "The step in flight goes on to its end. No further step starts, those that always run"
        " neither; then the run ends as canceled. If no step was left, it ends by its steps."
    )
    form = ReasonForm
    stop = BucketRun.Stop.STOP

    def is_available(self, row: BucketRun) -> bool:
        """Offer it once to what has not ended."""
        return row.status in OPEN and row.stop == BucketRun.Stop.NO

    def perform(self, row: BucketRun, data: dict[str, Any], *, cause: Cause) -> Result:
        """Write down the wish, and carry out what can be done at once."""
        cancel.cancel(row, stop=self.stop, reason=data["reason"], cause=cause)
        if row.status in OPEN:
            return Result(f"Run {row} ends when what is in flight has ended.", row)
        return Result(f"Run {row} is {row.status}: nothing was in flight.", row)


class Cancel(Stop):
    """Stop, and have StackStorm cancel what runs there."""

    name = "cancel"
    label = "Cancel the run"
    description = (
        "No further step starts, and StackStorm is asked to cancel what runs there. "
        + CANCELED_IS_NOT_STOPPED
        + " An open inquiry is not canceled: it stays open there, and an answer has no effect."
    )
    is_destructive = True
    stop = BucketRun.Stop.CANCEL

    def is_available(self, row: BucketRun) -> bool:
        """Offer it to what has not ended, also after a stop."""
        return row.status in OPEN and row.stop != BucketRun.Stop.CANCEL


class RetryFromStart(Operation[BucketRun]):
    """Do it all once more."""

    name = "retry_from_start"
    label = "Retry from the start"
    description = (
        "A new run carries out the bucket as it is now, from its first step. This run stays on"
        " record as it is."
    )

    def is_available(self, row: BucketRun) -> bool:
        """Offer it when the run has ended."""
        return row.status in BucketRun.FINAL

    def warnings(self, row: BucketRun) -> Sequence[str]:
        """Tell when the alert has gone."""
        return resolved_warning(row.alert)

    def perform(self, row: BucketRun, data: dict[str, Any], *, cause: Cause) -> Result:
        """Start the new run."""
        return started(retry.retry_from_start(row, cause=cause))


class RetryFromFailed(RetryFromStart):
    """Go on where it failed."""

    name = "retry_from_failed"
    label = "Retry from the failed step"
    description = (
        "A new run begins with the first step that failed, by the same version of the bucket. The"
        " steps before it are not repeated; their results count. This run stays on record as it is."
    )

    def is_available(self, row: BucketRun) -> bool:
        """Offer it when the run has ended badly and a step of it has failed."""
        is_over = row.status in BucketRun.FINAL - {BucketRun.Status.SUCCESS}
        failed = row.executions.filter(parent=None, status__in=ActionExecution.FAILED)
        return is_over and failed.exists()

    def perform(self, row: BucketRun, data: dict[str, Any], *, cause: Cause) -> Result:
        """Start the new run."""
        return started(retry.retry_from_failed(row, cause=cause))


def resolved_warning(alert: Alert) -> Sequence[str]:
    """Return the warning that the alert has gone, if it has."""
    if alert.status == Alert.Status.FIRING:
        return ()
    return ("The alert has resolved: is it still needed?",)


def started(run: BucketRun) -> Result:
    """Return what to say of a new run."""
    return Result(f"Run {run} is made and starts as soon as a worker is free.", run)
