"""Decide which buckets take which alerts, and make their automatic runs."""

from __future__ import annotations

import datetime
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

from remediation.engine.alert_reasons import why_nothing_ran
from remediation.engine.guards import cooldown
from remediation.engine.intake import bucket_cache
from remediation.engine.intake.bucket_cache import Catalogue
from remediation.models import Alert, Bucket, BucketRun, BucketVersion, Cause


@dataclass(slots=True)
class Assignments:
    """The unsaved runs, and the alerts on which it is written why nothing ran."""

    by_alert: defaultdict[int, list[BucketRun]] = field(default_factory=lambda: defaultdict(list))
    reasoned: list[Alert] = field(default_factory=list)

    @property
    def runs(self) -> list[BucketRun]:
        """All of them."""
        return [run for runs in self.by_alert.values() for run in runs]

    def explain(self, alert: Alert, reason: str) -> None:
        """Write on an alert why nothing ran, or '' when a run begins."""
        if alert.reason != reason:
            alert.reason = reason
            self.reasoned.append(alert)


def assign(
    opened: Sequence[Alert], resolved: Sequence[Alert], *, cause: Cause, again: Sequence[Alert] = ()
) -> Assignments:
    """Match saved alerts; return the runs to be saved.

    ``opened``: new episodes; ``resolved``: those that ended for the first time; ``again``: repeated
    ones that no bucket took so far. Runs that must not begin (the alert has ended already, the plan
    cannot be carried out) are made too, in their end state and with the reason; one that a cooldown
    delays is held.
    """
    assignments = Assignments()
    if not (opened or resolved or again):
        return assignments
    buckets = bucket_cache.current()
    chosen = _choose([*opened, *again], Bucket.TriggerOn.FIRING, buckets, assignments)
    chosen += _choose(resolved, Bucket.TriggerOn.RESOLVED, buckets, assignments)
    taken = _taken(resolved)
    keys = [cooldown.identity(alert, bucket) for alert, bucket in chosen]
    begins = cooldown.latest_starts([bucket for _, bucket in chosen], keys, at=cause.at)
    plans: dict[int, BucketVersion] = {}
    for (alert, bucket), key in zip(chosen, keys, strict=True):
        if (alert.pk, bucket.pk) in taken:
            continue
        if bucket.pk not in plans:
            plans[bucket.pk] = buckets.plan(bucket.pk, cause=Cause(at=cause.at))
        run = _run(alert, bucket, plans[bucket.pk], cause=cause)
        run.identity = key
        _judge(run, begins.get((bucket.pk, key)), cause=cause)
        assignments.by_alert[alert.pk].append(run)
    _explain(assignments)
    return assignments


def without_bucket(alerts: Sequence[Alert]) -> list[Alert]:
    """Return those of the repeated alerts that no bucket took so far.

    Only an alert with a reason can be one: it says that no bucket matched.
    """
    candidates = [alert for alert in alerts if alert.reason]
    if not candidates:
        return []
    runs = BucketRun.objects.filter(alert__in=candidates, number=BucketRun.AUTOMATIC)
    taken = set(runs.values_list("alert_id", flat=True))
    return [alert for alert in candidates if alert.pk not in taken]


def _choose(
    alerts: Sequence[Alert], trigger_on: str, buckets: Catalogue, assignments: Assignments
) -> list[tuple[Alert, Bucket]]:
    chosen = []
    for alert in alerts:
        specs = buckets.enabled[trigger_on].match(alert.labels)
        chosen += [(alert, buckets.by_id[spec.id]) for spec in specs]
        if not specs and trigger_on == Bucket.TriggerOn.FIRING:
            would = buckets.disabled[trigger_on].match(alert.labels)
            assignments.explain(
                alert,
                f"The bucket {would[0].name} matches but is disabled."
                if would
                else "No bucket matches this alert.",
            )
    return chosen


def _taken(resolved: Sequence[Alert]) -> set[tuple[int, int]]:
    """Return which buckets have had their automatic run for which alerts."""
    if not resolved:
        return set()
    runs = BucketRun.objects.filter(alert__in=resolved, number=BucketRun.AUTOMATIC)
    return set(runs.values_list("alert_id", "bucket_id"))


def _run(alert: Alert, bucket: Bucket, plan: BucketVersion, *, cause: Cause) -> BucketRun:
    return BucketRun(
        request_id=alert.request_id,
        alert=alert,
        bucket=bucket,
        plan=plan,
        trigger=trigger_of(bucket),
        created_at=cause.at,
    )


def trigger_of(bucket: Bucket) -> BucketRun.Trigger:
    """Return what starts the automatic runs of a bucket."""
    is_for_firing = bucket.trigger_on == Bucket.TriggerOn.FIRING
    return BucketRun.Trigger.ALERT if is_for_firing else BucketRun.Trigger.RESOLVED


def _judge(run: BucketRun, begun: datetime.datetime | None, *, cause: Cause) -> None:
    """End a run that must not begin."""
    if problem := run.plan.problem:
        run.status, run.reason = BucketRun.Status.FAILURE, problem
    elif run.trigger == BucketRun.Trigger.ALERT and not run.alert.is_open:
        run.status = BucketRun.Status.SKIPPED
        run.reason = "the alert had ended when it came in"
    elif until := cooldown.held_until(run.bucket, begun, at=cause.at):
        run.reason = cooldown.reason(run.bucket, until)
        if cooldown.waits_for_repeat(run):
            run.held_until = until
        else:
            run.status = BucketRun.Status.SKIPPED
    if run.status != BucketRun.Status.PENDING:
        run.completed_at = cause.at


def _explain(assignments: Assignments) -> None:
    """Write on each alert of which no run begins now why that is so, and when one will.

    A held run is named even beside runs that begin: intake looks for the held runs of those
    repeated alerts that have a reason.
    """
    for runs in assignments.by_alert.values():
        alert, first = runs[0].alert, runs[0]
        held = next((run for run in runs if run.held_until), None)
        if held or all(run.completed_at for run in runs):
            if not alert.reason or alert.is_open:
                assignments.explain(alert, why_nothing_ran(held or first))
        elif alert.is_open:
            assignments.explain(alert, "")
