"""Decide which buckets take which alerts, and make their automatic runs."""

from __future__ import annotations

import datetime
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from django.db.models import Max

from remediation.engine import catalogue
from remediation.engine.catalogue import Catalogue
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


def assign(opened: Sequence[Alert], resolved: Sequence[Alert], *, cause: Cause) -> Assignments:
    """Match the saved ``opened`` and first ``resolved`` alerts; return the runs to be saved.

    Runs that must not begin (the bucket cools down, the alert has ended already, the plan cannot
    be carried out) are made too, in their end state and with the reason.
    """
    assignments = Assignments()
    if not opened and not resolved:
        return assignments
    buckets = catalogue.current()
    chosen = _choose(opened, Bucket.TriggerOn.FIRING, buckets, assignments)
    chosen += _choose(resolved, Bucket.TriggerOn.RESOLVED, buckets, assignments)
    taken = _taken(resolved)
    begun = _latest_begins(chosen, at=cause.at)
    plans: dict[int, BucketVersion] = {}
    for alert, bucket in chosen:
        if (alert.pk, bucket.pk) in taken:
            continue
        if bucket.pk not in plans:
            plans[bucket.pk] = buckets.plan(bucket.pk, cause=Cause(at=cause.at))
        run = _run(alert, bucket, plans[bucket.pk], cause=cause)
        _judge(run, begun.get((bucket.pk, alert.fingerprint)), cause=cause)
        assignments.by_alert[alert.pk].append(run)
    _explain(assignments)
    return assignments


def cooling_down(bucket: Bucket, begun: datetime.datetime | None, *, at: datetime.datetime) -> str:
    """Return why the bucket must not begin again yet for a fingerprint, or ''."""
    if begun is None or not bucket.cooldown_seconds:
        return ""
    until = begun + datetime.timedelta(seconds=bucket.cooldown_seconds)
    if at >= until:
        return ""
    return (
        f"cooling down until {until:%Y-%m-%d %H:%M:%S} UTC: the bucket last began for this"
        f" fingerprint at {begun:%Y-%m-%d %H:%M:%S} UTC (cooldown_seconds"
        f" {bucket.cooldown_seconds})"
    )


def _choose(
    alerts: Sequence[Alert], trigger_on: str, buckets: Catalogue, assignments: Assignments
) -> list[tuple[Alert, Bucket]]:
    chosen = []
    for alert in alerts:
        specs = buckets.enabled[trigger_on].match(alert.labels)
        chosen += [(alert, buckets.by_id[spec.id]) for spec in specs]
        if not specs and trigger_on == Bucket.TriggerOn.FIRING:
            would = buckets.disabled[trigger_on].match(alert.labels)
            alert.reason = (
                f"The bucket {would[0].name} matches but is disabled."
                if would
                else "No bucket matches this alert."
            )
            assignments.reasoned.append(alert)
    return chosen


def _taken(resolved: Sequence[Alert]) -> set[tuple[int, int]]:
    """Return which buckets have had their automatic run for which alerts."""
    if not resolved:
        return set()
    runs = BucketRun.objects.filter(alert__in=resolved, number=BucketRun.AUTOMATIC)
    return set(runs.values_list("alert_id", "bucket_id"))


def _latest_begins(
    chosen: Iterable[tuple[Alert, Bucket]], *, at: datetime.datetime
) -> dict[tuple[int, str], datetime.datetime]:
    """Return when a bucket that may be cooling last began for a fingerprint, by any trigger."""
    cooling = [(alert, bucket) for alert, bucket in chosen if bucket.cooldown_seconds]
    if not cooling:
        return {}
    longest = max(bucket.cooldown_seconds for _, bucket in cooling)
    rows = (
        BucketRun.objects.filter(
            bucket__in={bucket.pk for _, bucket in cooling},
            alert__fingerprint__in={alert.fingerprint for alert, _ in cooling},
            # A begin before that holds nothing back, so its runs need not be looked at.
            started_at__gt=at - datetime.timedelta(seconds=longest),
        )
        .values_list("bucket_id", "alert__fingerprint")
        .annotate(begun=Max("started_at"))
    )
    return {(bucket_id, fingerprint): begun for bucket_id, fingerprint, begun in rows}


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
    elif reason := cooling_down(run.bucket, begun, at=cause.at):
        run.status, run.reason = BucketRun.Status.SKIPPED, reason
    elif run.trigger == BucketRun.Trigger.ALERT and not run.alert.is_open:
        run.status = BucketRun.Status.SKIPPED
        run.reason = "the alert had ended when it came in"
    if run.status != BucketRun.Status.PENDING:
        run.completed_at = cause.at


def _explain(assignments: Assignments) -> None:
    """Write on each alert of which no run can begin why that is so."""
    for runs in assignments.by_alert.values():
        alert = runs[0].alert
        if not alert.reason and all(run.completed_at for run in runs):
            alert.reason = f"The bucket {runs[0].bucket.name} took it, but {runs[0].reason}"
            assignments.reasoned.append(alert)
