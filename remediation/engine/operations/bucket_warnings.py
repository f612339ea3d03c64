"""Warn about probable mistakes in a saved bucket, found from its recent runs."""

from __future__ import annotations

import datetime

from django.db.models import Count, QuerySet

from remediation import clock
from remediation.models import Bucket, BucketRun

ALERTS_MIN = 3  # alerts of one instance that start runs within the cooldown, to cause a warning


def warnings_of(bucket: Bucket) -> list[str]:
    """Return warnings for the operator."""
    return [*bucket.matcher_warnings(), *_ineffective_cooldown(bucket)]


def _ineffective_cooldown(bucket: Bucket) -> list[str]:
    """Warn if alerts of one instance differ in a label and therefore escape the cooldown."""
    if not bucket.cooldown_seconds:
        return []
    since = clock.now() - datetime.timedelta(seconds=bucket.cooldown_seconds)
    started = BucketRun.objects.filter(
        bucket=bucket, started_at__gt=since, trigger=BucketRun.Trigger.ALERT
    )
    busiest = (
        started.exclude(alert__instance="")
        .values("alert__instance")
        .annotate(alerts=Count("identity", distinct=True))
        .filter(alerts__gte=ALERTS_MIN)
        .order_by("-alerts", "alert__instance")
        .first()
    )
    if busiest is None:
        return []
    instance, count = busiest["alert__instance"], busiest["alerts"]
    differing = ", ".join(_differing_labels(started.filter(alert__instance=instance)))
    return [
        f"{count} different alerts of the instance {instance} started this bucket within its"
        f" cooldown of {bucket.cooldown_seconds} s: they differ in {differing}. If the"
        " cooldown should cover all of them, set group_by to the labels to compare, such as"
        " alertname, instance."
    ]


def _differing_labels(runs: QuerySet[BucketRun]) -> list[str]:
    labels = [run.alert.labels for run in runs.select_related("alert").order_by("-pk")[:20]]
    names = {name for label_set in labels for name in label_set}
    return sorted(name for name in names if len({label_set.get(name) for label_set in labels}) > 1)
