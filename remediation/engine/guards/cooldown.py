"""Delay a bucket's automatic runs: one begin for each identity within ``cooldown_seconds``.

The identity of an alert for a bucket is its fingerprint or, with ``group_by``, the values of those
labels. A run that has to wait is held: it stays pending until its alert is repeated after the time
is over, so that nothing begins for an alert that may have ended unnoticed.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Sequence

from django.conf import settings
from django.db.models import Max

from remediation import alertmanager
from remediation.models import ActionExecution, Alert, Bucket, BucketRun, Cause, TransitionBatch

Key = tuple[int, str]  # a bucket's id and an identity


def identity(alert: Alert, bucket: Bucket) -> str:
    """Return the key of all alerts that count as the same one for a bucket; 16 hex digits.

    A label that is missing is empty, as in Alertmanager.
    """
    names = bucket.group_by_labels
    if not names:
        return alert.fingerprint
    return alertmanager.fingerprint({name: alert.labels.get(name, "") for name in names})


def latest_begins(
    buckets: Iterable[Bucket], identities: Iterable[str], *, at: datetime.datetime
) -> dict[Key, datetime.datetime]:
    """Return when these buckets last began for these identities, by any trigger.

    A begin that is too old to hold a run is left out. Runs that never began do not count.
    """
    cooling = {bucket.pk: bucket.cooldown_seconds for bucket in buckets if bucket.cooldown_seconds}
    if not cooling:
        return {}
    rows = (
        BucketRun.objects.filter(
            bucket__in=cooling,
            identity__in=set(identities),
            started_at__gt=at - datetime.timedelta(seconds=max(cooling.values())),
        )
        .values_list("bucket_id", "identity")
        .annotate(begun=Max("started_at"))
    )
    return {(bucket_id, key): begun for bucket_id, key, begun in rows}


def held_until(
    bucket: Bucket, begun: datetime.datetime | None, *, at: datetime.datetime
) -> datetime.datetime | None:
    """Return when the cooldown after a begin is over; None when it holds nothing now."""
    if begun is None or not bucket.cooldown_seconds:
        return None
    until = begun + datetime.timedelta(seconds=bucket.cooldown_seconds)
    return until if until > at else None


def reason(bucket: Bucket, until: datetime.datetime) -> str:
    """Return why a run is held, for people, without the full stop."""
    begun = until - datetime.timedelta(seconds=bucket.cooldown_seconds)
    labels = bucket.group_by_labels
    same = f"the same {', '.join(labels)}" if labels else "this fingerprint"
    return (
        f"cooling down until {until:%Y-%m-%d %H:%M:%S} UTC: the bucket last began for {same}"
        f" at {begun:%Y-%m-%d %H:%M:%S} UTC (cooldown_seconds {bucket.cooldown_seconds})"
    )


def sentence(run: BucketRun) -> str:
    """Return why a held run waits and when it begins."""
    return f"It is {run.reason}. It begins when the alert is repeated after that."


def waits_for_repeat(run: BucketRun) -> bool:
    """Return whether a run waits for a repeat; a resolve is not repeated, so its runs do not."""
    return run.trigger == BucketRun.Trigger.ALERT


def last_look(until: datetime.datetime) -> datetime.datetime:
    """Return when a held run ends that no repeat of its alert has made due."""
    return until + datetime.timedelta(seconds=settings.LAUNCH_TIMEOUT)


def waits_until(run: BucketRun) -> datetime.datetime | None:
    """Return from when on a run that was held may count as not started in time; None if never held.

    Without a repeat its claim ends it as skipped: no failure.
    """
    if run.held_until and reason_without_repeat(run):
        return last_look(run.held_until)
    return run.held_until


def reason_without_repeat(run: BucketRun) -> str:
    """Return why a held run does not begin although its time is over, or ''."""
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
    """Hold a pending run that is locked, and its first execution. One that is held may be again."""
    text = reason(run.bucket, until)
    run.hold(until, cause=cause, reason=text, batch=batch)
    execution.postpone(last_look(until), reason=text)


def make_due(alerts: Sequence[Alert], *, at: datetime.datetime) -> list[ActionExecution]:
    """Make the held runs of repeated alerts due whose time is over; return their executions.

    The claim looks at the cooldown again: the bucket may have begun for another alert.
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
