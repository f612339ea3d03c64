"""Counters and histograms, from the totals in the database."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TypeVar

from prometheus_client import Metric
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily

from poundcake.database_errors import KINDS
from remediation.engine.intake.episodes import Disposition
from remediation.engine.totals import definitions
from remediation.engine.totals.current import current_totals
from remediation.engine.totals.transition_counts import ENDED_EXECUTION, ENDED_RUN
from remediation.models import Action, Bucket, BucketRun, BucketStep, RejectedAlert
from remediation.process_counts import BOUND, BUCKET, INFINITE, SUM, Counter, Histogram, Key, Labels

# Buckets, and pairs of bucket and action, with series of their own: those that ended a run first.
# The others are counted together as OTHER.
BUCKETS_MAX = 100
PAIRS_MAX = 300
OTHER = "other"
DELETED = "\0"  # no name contains it
WEBHOOK_STATUSES = ("202", "400", "401", "403", "413", "429", "500", "503")
ENDPOINTS = ("webhook", "callback", "other")
METHODS = {"GET": "200", "POST": "201"}

Series = dict[Labels, float]
Id = TypeVar("Id")


def families() -> Iterator[Metric]:
    """Yield the counters and histograms of ``definitions``."""
    buckets = dict(Bucket.objects.order_by("pk").values_list("pk", "name"))
    actions = dict(Action.objects.values_list("pk", "name"))
    # Before their first event the series are 0, else ``increase`` would not see that event.
    series = dict.fromkeys(_fixed_series(), 0.0)
    series |= dict.fromkeys(_series_of_buckets(buckets, actions), 0.0)
    by_name = _by_name(series | _with_names(current_totals(), buckets, actions))
    for counter in definitions.COUNTERS:
        family = CounterMetricFamily(counter.name, counter.help, labels=counter.labels)
        for labels, value in by_name.get(counter.name, {}).items():
            family.add_metric([text for _, text in labels], value)
        yield family
    for histogram in definitions.HISTOGRAMS:
        yield _histogram(histogram, by_name)
    yield CounterMetricFamily(
        "poundcake_rejected_alerts_total",
        "Alerts that were received but could not be processed.",
        value=RejectedAlert.count_all(),
    )


def _fixed_series() -> Iterator[Key]:
    yield from (_key(definitions.ALERTS_RECEIVED, disposition=one.value) for one in Disposition)
    yield _key(definitions.INTAKE_TRANSACTIONS)
    yield _key(definitions.ALERTS_TRUNCATED)
    yield _key(definitions.UNRECORDED_CALLS)
    yield _key(definitions.SKIPPED_RECORDS)
    yield from (_key(definitions.DATABASE_ERRORS, kind=kind) for kind in KINDS)
    for code in WEBHOOK_STATUSES:
        yield _key(definitions.API_REQUESTS, endpoint="webhook", code=code)
    for endpoint in ENDPOINTS:
        yield _key(definitions.API_SECONDS, SUM, endpoint=endpoint)
    for method, code in METHODS.items():
        yield _key(definitions.STACKSTORM_REQUESTS, method=method, code=code)
        yield _key(definitions.STACKSTORM_SECONDS, SUM, method=method)
    yield _key(definitions.FIRST_CALL, SUM)


def _series_of_buckets(buckets: Mapping[int, str], actions: Mapping[int, str]) -> Iterator[Key]:
    """Yield the series of all buckets and their steps, unless there are too many."""
    if len(buckets) > BUCKETS_MAX:
        return
    for bucket in buckets.values():
        for trigger in BucketRun.Trigger:
            yield _key(definitions.RUNS_CREATED, bucket=bucket, trigger=trigger.value)
        for outcome in ENDED_RUN:
            yield _key(definitions.RUNS_ENDED, bucket=bucket, outcome=outcome.value)
        yield _key(definitions.TIME_TO_REMEDIATE, SUM, bucket=bucket)
    pairs = list(BucketStep.objects.values_list("bucket", "action").distinct())
    for bucket_id, action_id in pairs if len(pairs) <= PAIRS_MAX else ():
        # A bucket or an action may have been added meanwhile.
        if bucket_id in buckets and action_id in actions:
            names = {"bucket": buckets[bucket_id], "action": actions[action_id]}
            for status in ENDED_EXECUTION:
                yield _key(definitions.EXECUTIONS_ENDED, **names, outcome=status.value)


def _key(metric: Counter | Histogram, part: str = "", **labels: str) -> Key:
    return metric.name + part, _labels(labels)


def _with_names(
    totals: Mapping[Key, float], buckets: Mapping[int, str], actions: Mapping[int, str]
) -> dict[Key, float]:
    """Replace the ids of buckets and actions by names.

    The totals come in the order in which they were counted first, so a bucket never moves to or
    from OTHER. The series of a deleted bucket or action end.
    """
    names = {OTHER: OTHER} | {str(pk): name for pk, name in buckets.items()}
    action_names = {"": "", OTHER: OTHER} | {str(pk): name for pk, name in actions.items()}
    shown: set[str] = set()
    shown_pairs: set[tuple[str, str]] = set()
    named: dict[Key, float] = {}
    for (name, labels), value in totals.items():
        members = dict(labels)
        if bucket := members.get("bucket"):
            bucket = _limited(bucket, shown, BUCKETS_MAX, OTHER)
            if action := members.get("action"):
                pair = _limited((bucket, action), shown_pairs, PAIRS_MAX, (OTHER, OTHER))
                bucket, action = pair
                members["action"] = action_names.get(action, DELETED)
            members["bucket"] = names.get(bucket, DELETED)
        if DELETED not in members.values():
            # Two ids share a series: those of OTHER, or of a bucket with that name.
            key = (name, _labels(members))
            named[key] = named.get(key, 0.0) + value
    return named


def _limited(one: Id, shown: set[Id], most: int, other: Id) -> Id:
    if len(shown) < most:
        shown.add(one)
    return one if one in shown else other


def _by_name(totals: Mapping[Key, float]) -> dict[str, Series]:
    by_name: dict[str, Series] = {}
    for (name, labels), value in totals.items():
        by_name.setdefault(name, {})[labels] = value
    return by_name


def _histogram(histogram: Histogram, by_name: Mapping[str, Series]) -> Metric:
    """Return a histogram with cumulative buckets."""
    family = HistogramMetricFamily(histogram.name, histogram.help, labels=histogram.labels)
    counts = by_name.get(histogram.name + BUCKET, {})
    sums = by_name.get(histogram.name + SUM, {})
    for labels, seconds in sums.items():
        count, buckets = 0.0, []
        for bound in (*map(str, histogram.bounds), INFINITE):
            count += counts.get(_labels({**dict(labels), BOUND: bound}), 0.0)
            buckets.append((bound, count))
        family.add_metric([text for _, text in labels], buckets, sum_value=seconds)
    return family


def _labels(labels: Mapping[str, str]) -> Labels:
    return tuple(sorted(labels.items()))
