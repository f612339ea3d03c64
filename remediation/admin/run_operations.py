"""Operations on runs: stop, cancel, retry."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from remediation.admin.notices import CANCELED_IS_NOT_STOPPED
from remediation.admin.operations import Operation, ReasonForm, Result
from remediation.engine import cancel
from remediation.engine.operations import retry
from remediation.models import ActionExecution, Alert, BucketRun, Cause


class Stop(Operation[BucketRun]):
    """Finish the current step and start no other."""

    name = "stop"
    label = "Stop after the current step"
    description = (
        "The current step runs to its end. No other step starts, not even one with run_when always."
        " Then the run ends as canceled. If the current step is the last one, the run ends with the"
        " status of its steps."
    )
    form = ReasonForm
    stop = BucketRun.Stop.STOP

    def is_available(self, row: BucketRun) -> bool:
        """Offer it for open runs that are not stopping yet."""
        return row.status in BucketRun.OPEN and row.stop == BucketRun.Stop.NO

    def perform(self, row: BucketRun, data: dict[str, Any], *, cause: Cause) -> Result:
        """Request the stop; a run without a current step ends at once."""
        cancel.cancel(row, stop=self.stop, reason=data["reason"], cause=cause)
        if row.status in BucketRun.OPEN:
            return Result(f"Run {row} will end after its current step.", row)
        return Result(f"Run {row} is {row.status}: no step was running.", row)


class Cancel(Stop):
    """Stop, and ask StackStorm to cancel the current step."""

    name = "cancel"
    label = "Cancel the run"
    description = (
        "No other step starts, and PoundCake asks StackStorm to cancel the current step. "
        + CANCELED_IS_NOT_STOPPED
        + " An open inquiry is not canceled: it stays open in StackStorm, but answering it no"
        " longer affects the run."
    )
    is_destructive = True
    stop = BucketRun.Stop.CANCEL

    def is_available(self, row: BucketRun) -> bool:
        """Offer it for open runs, also after a stop."""
        return row.status in BucketRun.OPEN and row.stop != BucketRun.Stop.CANCEL


class RetryFromStart(Operation[BucketRun]):
    """Create a run of the current bucket version from its first step."""

    name = "retry_from_start"
    label = "Retry from the start"
    description = (
        "Creates a new run of the current bucket version, starting with the first step. This run"
        " does not change."
    )

    def is_available(self, row: BucketRun) -> bool:
        """Offer it for runs that have ended."""
        return row.status in BucketRun.FINAL

    def warnings(self, row: BucketRun) -> Sequence[str]:
        """Warn about a resolved alert."""
        return resolved_warning(row.alert)

    def perform(self, row: BucketRun, data: dict[str, Any], *, cause: Cause) -> Result:
        """Create the new run."""
        return new_run_result(retry.retry_from_start(row, cause=cause))


class RetryFromFailed(RetryFromStart):
    """Create a run of the same bucket version from the failed step."""

    name = "retry_from_failed"
    label = "Retry from the failed step"
    description = (
        "Creates a new run of the same bucket version, starting with the first failed step. Earlier"
        " steps are skipped; their results remain available to templates. This run does not change."
    )

    def is_available(self, row: BucketRun) -> bool:
        """Offer it for runs that ended without success and have a failed step."""
        is_over = row.status in BucketRun.FINAL - {BucketRun.Status.SUCCESS}
        failed = row.executions.filter(parent=None, status__in=ActionExecution.FAILED)
        return is_over and failed.exists()

    def perform(self, row: BucketRun, data: dict[str, Any], *, cause: Cause) -> Result:
        """Create the new run."""
        return new_run_result(retry.retry_from_failed(row, cause=cause))


def resolved_warning(alert: Alert) -> Sequence[str]:
    """Return a warning if the alert has resolved."""
    if alert.status == Alert.Status.FIRING:
        return ()
    return ("The alert has resolved. Check that a run is still needed.",)


def new_run_result(run: BucketRun) -> Result:
    """Return the message about a new run."""
    return Result(f"Created run {run}. It starts when a worker is free.", run)
