"""Changes of state that a notification makes to alerts, and what they mean for their runs."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from remediation.engine import cancel
from remediation.engine.alert_reasons import why_nothing_ran
from remediation.models import (
    ActionExecution,
    Alert,
    BucketRun,
    BucketVersion,
    Cause,
    Transition,
    TransitionBatch,
)


@dataclass(slots=True)
class AlertMove:
    """A change of an alert, to be recorded once all alerts have ids."""

    alert: Alert
    from_status: str
    superseded_by: Alert | None = None

    def transition(self, cause: Cause, data: dict[str, str]) -> Transition:
        """Return the row; the first one of an alert says how it came in."""
        return Transition.of(
            self.alert,
            cause=cause,
            from_status=self.from_status,
            to_status="resolved" if self.from_status == "firing" else "firing",
            reason=superseded(self.superseded_by) if self.superseded_by else "",
            data={} if self.from_status else data,
        )


def superseded(by: Alert) -> str:
    """Return why an episode ended that no resolve had ended."""
    return f"superseded by alert {by.pk}"


def skip_unbegun(moves: Iterable[AlertMove], *, cause: Cause, batch: TransitionBatch) -> None:
    """End the automatic runs that have not begun when their alert ends."""
    reasons = {
        move.alert.pk: superseded(move.superseded_by)
        if move.superseded_by
        else "the alert resolved before the run began"
        for move in moves
        if move.from_status == "firing"
    }
    if not reasons:
        return
    runs = list(
        BucketRun.objects.filter(
            alert__in=reasons, status=BucketRun.Status.PENDING, trigger=BucketRun.Trigger.ALERT
        )
        .order_by("pk")
        .select_for_update()
    )
    executions = list(
        ActionExecution.objects.filter(run__in=runs, status=ActionExecution.Status.PENDING)
    )
    for run in runs:
        run.status, run.completed_at = BucketRun.Status.SKIPPED, cause.at
        run.reason = reasons[run.alert_id]
        if run.held_until:
            # The sentence on the alert promised that it would begin.
            Alert.objects.filter(pk=run.alert_id).update(reason=why_nothing_ran(run))
    for execution in executions:
        execution.status, execution.completed_at = ActionExecution.Status.SKIPPED, cause.at
        execution.error_message, execution.due_at = reasons[execution.alert_id], None
    BucketRun.objects.bulk_update(runs, ["status", "reason", "completed_at"])
    ActionExecution.objects.bulk_update(
        executions, ["status", "error_message", "due_at", "completed_at"]
    )
    skipped: list[BucketRun | ActionExecution] = [*runs, *executions]
    Transition.write(
        *(
            Transition.of(
                row,
                cause=cause,
                from_status="pending",
                to_status="skipped",
                reason=reasons[row.alert_id],
            )
            for row in skipped
        ),
        batch=batch,
    )


def stop_begun(moves: Iterable[AlertMove], *, cause: Cause, batch: TransitionBatch) -> None:
    """Ask the automatic runs that have begun to stop, where their bucket says so."""
    resolved = {
        move.alert.pk for move in moves if move.from_status == "firing" and not move.superseded_by
    }
    if not resolved:
        return
    runs = list(
        BucketRun.objects.filter(
            alert__in=resolved, status=BucketRun.Status.RUNNING, trigger=BucketRun.Trigger.ALERT
        )
        .order_by("pk")
        .select_for_update()
    )
    plans = BucketVersion.objects.in_bulk({run.plan_id for run in runs})
    for stop in (BucketRun.Stop.STOP, BucketRun.Stop.CANCEL):
        wanted = [run for run in runs if plans[run.plan_id].on_resolved == stop]
        reason = "the alert resolved (on_resolved)"
        cancel.request_stop(wanted, stop=stop, reason=reason, cause=cause, batch=batch)
