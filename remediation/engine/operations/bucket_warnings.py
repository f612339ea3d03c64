"""Find what a saved bucket probably does not mean, from the runs that it had."""

from __future__ import annotations

import datetime

from django.db.models import Count, QuerySet

from remediation import clock
from remediation.models import Bucket, BucketRun

ALERTS_MAX = 3  # of one instance that begin runs within the cooldown, before it is worth a warning


def warnings_of(bucket: Bucket) -> list[str]:
    """Return sentences for the operator, [] when there is nothing to say."""
    return [*bucket.matcher_warnings(), *_cooldown_without_effect(bucket)]


def _cooldown_without_effect(bucket: Bucket) -> list[str]:
    """Find instances whose alerts differ in some label and so pass by the cooldown."""
    if not bucket.cooldown_seconds:
        return []
    since = clock.now() - datetime.timedelta(seconds=bucket.cooldown_seconds)
    begun = BucketRun.objects.filter(
        bucket=bucket, started_at__gt=since, trigger=BucketRun.Trigger.ALERT
    )
    busiest = (
        begun.exclude(alert__instance="")
        .values("alert__instance")
        .annotate(alerts=Count("identity", distinct=True))
        .filter(alerts__gte=ALERTS_MAX)
        .order_by("-alerts", "alert__instance")
        .first()
    )
    if busiest is None:
        return []
    instance, count = busiest["alert__instance"], busiest["alerts"]
    differing = ", ".join(_differing_labels(begun.filter(alert__instance=instance)))
    return [
        f"{count} different alerts of the instance {instance} started this bucket within its"
        f" cooldown of {bucket.cooldown_seconds} s: they differ in {differing}. If they are the"
        " same to the bucket, set group_by to the labels that count, such as alertname, instance."
    ]


def _differing_labels(runs: QuerySet[BucketRun]) -> list[str]:
    labels = [run.alert.labels for run in runs.select_related("alert").order_by("-pk")[:20]]
    names = {name for one in labels for name in one}
    return sorted(name for name in names if len({one.get(name) for one in labels}) > 1)
