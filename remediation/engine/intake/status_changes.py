"""Status changes of alerts by notifications, and their effects on automatic runs."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from remediation.engine import cancel
from remediation.engine.alert_reasons import why_nothing_ran
from remediation.engine.intake.episodes import Received
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
class StatusChange:
    """A status change of an alert; recorded after all alerts are saved and have ids.

    ``from_status`` is '' for a new alert.
    """

    alert: Alert
    from_status: str
    received: Received
    superseded_by: Alert | None = None

    def transition(self) -> Transition:
        """Return the unsaved transition. The first one of an alert stores where it came from."""
        origin = {"receiver": self.received.receiver, "client": self.received.client}
        return Transition.of(
            self.alert,
            cause=self.received.cause,
            from_status=self.from_status,
            to_status="resolved" if self.from_status == "firing" else "firing",
            reason=superseded(self.superseded_by) if self.superseded_by else "",
            data={} if self.from_status else origin,
        )


def superseded(by: Alert) -> str:
    """Return the reason for an episode that ended without a resolve."""
    return f"superseded by alert {by.pk}"


def skip_pending_runs(changes: Sequence[StatusChange], *, batch: TransitionBatch) -> None:
    """Skip the pending automatic runs of the alerts that have ended."""
    causes = {change.alert.pk: change.received.cause for change in changes}
    reasons = {
        change.alert.pk: superseded(change.superseded_by)
        if change.superseded_by
        else "the alert resolved before the run began"
        for change in changes
        if change.from_status == "firing"
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
        run.status, run.completed_at = BucketRun.Status.SKIPPED, causes[run.alert_id].at
        run.reason = reasons[run.alert_id]
        if run.held_until:
            # The alert's previous reason announced that this run would begin.
            Alert.objects.filter(pk=run.alert_id).update(reason=why_nothing_ran(run))
    for execution in executions:
        execution.status = ActionExecution.Status.SKIPPED
        execution.completed_at = causes[execution.alert_id].at
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
                cause=causes[row.alert_id],
                from_status="pending",
                to_status="skipped",
                reason=reasons[row.alert_id],
            )
            for row in skipped
        ),
        batch=batch,
    )


def stop_running_runs(changes: Sequence[StatusChange], *, batch: TransitionBatch) -> None:
    """Stop or cancel the running automatic runs of resolved alerts, by ``on_resolved``."""
    resolved = {
        change.alert.pk: change.received.cause
        for change in changes
        if change.from_status == "firing" and not change.superseded_by
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
        by_cause: defaultdict[Cause, list[BucketRun]] = defaultdict(list)
        for run in runs:
            if plans[run.plan_id].on_resolved == stop:
                by_cause[resolved[run.alert_id]].append(run)
        reason = "the alert resolved (on_resolved)"
        for cause, affected in by_cause.items():
            cancel.request_stop(affected, stop=stop, reason=reason, cause=cause, batch=batch)
