"""Cooldown: a bucket's automatic runs start at most once per identity and ``cooldown_seconds``.

The identity of an alert for a bucket is its fingerprint or, with ``group_by``, the values of those
labels. A run within the cooldown is held: it stays pending until Alertmanager repeats its alert
after the cooldown. A run does not start without that repeat, because the alert may have ended
unnoticed.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Sequence

from django.conf import settings
from django.db.models import Max

from remediation import alertmanager
from remediation.engine.alert_reasons import STARTS_WITH_REPEAT
from remediation.models import ActionExecution, Alert, Bucket, BucketRun, Cause, TransitionBatch

BucketIdentity = tuple[int, str]  # a bucket's id and an identity


def identity(alert: Alert, bucket: Bucket) -> str:
    """Return the key shared by all alerts that the bucket treats as the same; 16 hex digits.

    A missing label counts as empty, as in Alertmanager.
    """
    names = bucket.group_by_labels
    if not names:
        return alert.fingerprint
    return alertmanager.fingerprint({name: alert.labels.get(name, "") for name in names})


def latest_starts(
    buckets: Iterable[Bucket], identities: Iterable[str], *, at: datetime.datetime
) -> dict[BucketIdentity, datetime.datetime]:
    """Return when the last run of these buckets started for these identities, by any trigger.

    Starts that are too old to hold a run are left out.
    """
    seconds = {bucket.pk: bucket.cooldown_seconds for bucket in buckets if bucket.cooldown_seconds}
    if not seconds:
        return {}
    rows = (
        BucketRun.objects.filter(
            bucket__in=seconds,
            identity__in=set(identities),
            started_at__gt=at - datetime.timedelta(seconds=max(seconds.values())),
        )
        .values_list("bucket_id", "identity")
        .annotate(latest=Max("started_at"))
    )
    return {(bucket_id, key): latest for bucket_id, key, latest in rows}


def held_until(
    bucket: Bucket, latest_start: datetime.datetime | None, *, at: datetime.datetime
) -> datetime.datetime | None:
    """Return when the cooldown after ``latest_start`` ends; None if it is over at ``at``."""
    if latest_start is None or not bucket.cooldown_seconds:
        return None
    until = latest_start + datetime.timedelta(seconds=bucket.cooldown_seconds)
    return until if until > at else None


def reason(bucket: Bucket, until: datetime.datetime) -> str:
    """Return why a run is held, without a full stop."""
    started = until - datetime.timedelta(seconds=bucket.cooldown_seconds)
    labels = bucket.group_by_labels
    same = f"the same {', '.join(labels)}" if labels else "this fingerprint"
    return (
        f"cooling down until {until:%Y-%m-%d %H:%M:%S} UTC: the bucket last started for {same}"
        f" at {started:%Y-%m-%d %H:%M:%S} UTC (cooldown_seconds {bucket.cooldown_seconds})"
    )


def waiting_text(run: BucketRun) -> str:
    """Return why a held run waits and when it starts."""
    return f"It is {run.reason}. {STARTS_WITH_REPEAT}"


def waits_for_repeat(run: BucketRun) -> bool:
    """Return whether a held run starts with a repeat; resolves are not repeated."""
    return run.trigger == BucketRun.Trigger.ALERT


def repeat_deadline(until: datetime.datetime) -> datetime.datetime:
    """Return when a held run ends as skipped if its alert was not repeated by then."""
    return until + datetime.timedelta(seconds=settings.LAUNCH_TIMEOUT)


def launch_timeout_start(run: BucketRun) -> datetime.datetime | None:
    """Return the time from which LAUNCH_TIMEOUT counts for a run that was held, None if never held.

    Without a repeat it starts later, so the claim can skip the run before it times out.
    """
    if run.held_until and missing_repeat_reason(run):
        return repeat_deadline(run.held_until)
    return run.held_until


def missing_repeat_reason(run: BucketRun) -> str:
    """Return why a held run is skipped although its cooldown is over, or ''."""
    if run.held_until is None or run.alert.last_seen_at >= run.held_until:
        return ""
    return (
        f"the cooldown was over at {run.held_until:%Y-%m-%d %H:%M:%S} UTC and the alert was not"
        f" repeated within {settings.LAUNCH_TIMEOUT:g} s (LAUNCH_TIMEOUT) after that"
    )


def hold(
    run: BucketRun,
    execution: ActionExecution,
    until: datetime.datetime,
    *,
    cause: Cause,
    batch: TransitionBatch,
) -> None:
    """Hold a pending, locked run and its first execution. A run may be held more than once."""
    text = reason(run.bucket, until)
    run.hold(until, cause=cause, reason=text, batch=batch)
    execution.postpone(repeat_deadline(until), reason=text)


def release(alerts: Sequence[Alert], *, at: datetime.datetime) -> list[ActionExecution]:
    """Make the held runs of repeated alerts due if their cooldown is over; return the executions.

    The claim checks the cooldown again, because another alert may have started the bucket since.
    """
    rows = list(
        ActionExecution.objects.filter(
            alert__in=alerts,
            status=ActionExecution.Status.PENDING,
            due_at__gt=at,
            run__status=BucketRun.Status.PENDING,
            run__held_until__lte=at,
        )
    )
    for row in rows:
        row.due_at = at
    ActionExecution.objects.filter(
        pk__in=[row.pk for row in rows], status=ActionExecution.Status.PENDING
    ).update(due_at=at)
    return rows
