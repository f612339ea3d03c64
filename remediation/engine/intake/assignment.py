"""Match alerts to buckets and create their automatic runs."""

from __future__ import annotations

import datetime
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from remediation.engine.alert_reasons import why_nothing_ran
from remediation.engine.guards import cooldown
from remediation.engine.intake import bucket_cache
from remediation.engine.intake.bucket_cache import Snapshot
from remediation.models import ActorKind, Alert, Bucket, BucketRun, BucketVersion, Cause


@dataclass(slots=True)
class Assignments:
    """The unsaved runs by alert id, and the alerts whose ``reason`` changed.

    ``causes``: by alert id, the call that opened, resolved or repeated the alert.
    """

    causes: Mapping[int, Cause]
    by_alert: defaultdict[int, list[BucketRun]] = field(default_factory=lambda: defaultdict(list))
    alerts_with_new_reason: list[Alert] = field(default_factory=list)

    @property
    def runs(self) -> list[BucketRun]:
        """The runs of all alerts."""
        return [run for runs in self.by_alert.values() for run in runs]

    def set_reason(self, alert: Alert, reason: str) -> None:
        """Set the reason why nothing ran for an alert; '' if a run begins."""
        if alert.reason != reason:
            alert.reason = reason
            self.alerts_with_new_reason.append(alert)


def assign(
    opened: Sequence[Alert],
    resolved: Sequence[Alert],
    *,
    causes: Mapping[int, Cause],
    repeated: Sequence[Alert] = (),
) -> Assignments:
    """Match saved alerts; return the runs to save.

    ``opened``: new episodes. ``resolved``: episodes that ended for the first time. ``repeated``:
    repeated alerts that no bucket has matched yet. ``causes``: by alert id, the call. A run that
    cannot start (its alert has already ended, its plan is invalid) gets its final status and a
    reason; a cooldown delays a run by ``held_until``.
    """
    assignments = Assignments(causes)
    if not (opened or resolved or repeated):
        return assignments
    buckets = bucket_cache.current()
    matches = _match([*opened, *repeated], Bucket.TriggerOn.FIRING, buckets, assignments)
    matches += _match(resolved, Bucket.TriggerOn.RESOLVED, buckets, assignments)
    existing = _existing_runs(resolved)
    keys = [cooldown.identity(alert, bucket) for alert, bucket in matches]
    since = min((causes[alert.pk].at for alert, _ in matches), default=None)
    latest_starts = (
        cooldown.latest_starts([bucket for _, bucket in matches], keys, at=since) if since else {}
    )
    plans: dict[int, BucketVersion] = {}
    for (alert, bucket), key in zip(matches, keys, strict=True):
        if (alert.pk, bucket.pk) in existing:
            continue
        cause = causes[alert.pk]
        if bucket.pk not in plans:
            plans[bucket.pk] = buckets.plan(bucket.pk, cause=Cause(at=cause.at))
        run = _new_run(alert, bucket, plans[bucket.pk], cause=cause)
        run.identity = key
        _end_or_hold(run, latest_starts.get((bucket.pk, key)), cause=cause)
        assignments.by_alert[alert.pk].append(run)
    _set_reasons(assignments)
    return assignments


def without_run(alerts: Sequence[Alert]) -> list[Alert]:
    """Return the repeated alerts that have no automatic run yet.

    They all have a reason, since an alert that no bucket matched gets one.
    """
    candidates = [alert for alert in alerts if alert.reason]
    if not candidates:
        return []
    runs = BucketRun.objects.filter(alert__in=candidates, number=BucketRun.AUTOMATIC)
    matched = set(runs.values_list("alert_id", flat=True))
    return [alert for alert in candidates if alert.pk not in matched]


def _match(
    alerts: Sequence[Alert], trigger_on: str, buckets: Snapshot, assignments: Assignments
) -> list[tuple[Alert, Bucket]]:
    matches = []
    for alert in alerts:
        specs = buckets.enabled[trigger_on].match(alert.labels)
        matches += [(alert, buckets.by_id[spec.id]) for spec in specs]
        if not specs and trigger_on == Bucket.TriggerOn.FIRING:
            disabled = buckets.disabled[trigger_on].match(alert.labels)
            assignments.set_reason(
                alert,
                f"The bucket {disabled[0].name} matches but is disabled."
                if disabled
                else "No bucket matches this alert.",
            )
    return matches


def _existing_runs(resolved: Sequence[Alert]) -> set[tuple[int, int]]:
    """Return the (alert id, bucket id) pairs that already have an automatic run."""
    if not resolved:
        return set()
    runs = BucketRun.objects.filter(alert__in=resolved, number=BucketRun.AUTOMATIC)
    return set(runs.values_list("alert_id", "bucket_id"))


def _new_run(alert: Alert, bucket: Bucket, plan: BucketVersion, *, cause: Cause) -> BucketRun:
    return BucketRun(
        request_id=alert.request_id,
        alert=alert,
        bucket=bucket,
        plan=plan,
        trigger=trigger_of(bucket),
        actor_kind=ActorKind.SYSTEM,
        created_at=cause.at,
    )


def trigger_of(bucket: Bucket) -> BucketRun.Trigger:
    """Return the trigger of a bucket's automatic runs."""
    is_for_firing = bucket.trigger_on == Bucket.TriggerOn.FIRING
    return BucketRun.Trigger.ALERT if is_for_firing else BucketRun.Trigger.RESOLVED


def _end_or_hold(run: BucketRun, latest_start: datetime.datetime | None, *, cause: Cause) -> None:
    """End a run that cannot start, or hold it during a cooldown."""
    if problem := run.plan.problem:
        run.status, run.reason = BucketRun.Status.FAILURE, problem
    elif run.trigger == BucketRun.Trigger.ALERT and not run.alert.is_open:
        run.status = BucketRun.Status.SKIPPED
        run.reason = "the alert had already ended when it was received"
    elif until := cooldown.held_until(run.bucket, latest_start, at=cause.at):
        run.reason = cooldown.reason(run.bucket, until)
        if cooldown.waits_for_repeat(run):
            run.held_until = until
        else:
            run.status = BucketRun.Status.SKIPPED
    if run.status != BucketRun.Status.PENDING:
        run.completed_at = cause.at


def _set_reasons(assignments: Assignments) -> None:
    """Set the reason of each alert whose runs do not all start now.

    A held run sets the reason even if other runs start: intake looks for held runs only among the
    repeated alerts that have a reason.
    """
    for runs in assignments.by_alert.values():
        alert, first = runs[0].alert, runs[0]
        held = next((run for run in runs if run.held_until), None)
        if held or all(run.completed_at for run in runs):
            if not alert.reason or alert.is_open:
                assignments.set_reason(alert, why_nothing_ran(held or first))
        elif alert.is_open:
            assignments.set_reason(alert, "")
