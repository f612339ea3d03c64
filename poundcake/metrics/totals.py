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
from remediation.engine.totals.transition_counts import ENDED_RUN
from remediation.models import Action, Bucket, RejectedAlert
from remediation.process_counts import BOUND, BUCKET, INFINITE, SUM, Histogram, Key, Labels

# Buckets, and pairs of bucket and action, with series of their own: those that ended a run first.
# The others are counted together as OTHER.
BUCKETS_MAX = 100
PAIRS_MAX = 300
OTHER = "other"
DELETED = "\0"  # no name contains it
# Series that exist before their first event, so that ``increase`` sees that event.
ALWAYS: dict[str, list[dict[str, str]]] = {
    definitions.ALERTS_RECEIVED.name: [
        {"disposition": disposition.value} for disposition in Disposition
    ],
    definitions.ALERTS_TRUNCATED.name: [{}],
    definitions.UNRECORDED_CALLS.name: [{}],
    definitions.SKIPPED_RECORDS.name: [{}],
    definitions.DATABASE_ERRORS.name: [{"kind": kind} for kind in KINDS],
}

Series = dict[Labels, float]
Id = TypeVar("Id")


def families() -> Iterator[Metric]:
    """Yield the counters and histograms of ``definitions``."""
    buckets = dict(Bucket.objects.order_by("pk").values_list("pk", "name"))
    by_name = _by_name(_with_names(current_totals(), buckets))
    for counter in definitions.COUNTERS:
        family = CounterMetricFamily(counter.name, counter.help, labels=counter.labels)
        series = {_labels(labels): 0.0 for labels in ALWAYS.get(counter.name, [])}
        if counter is definitions.RUNS_ENDED:
            series |= _unused(buckets)
        for labels, value in (series | by_name.get(counter.name, {})).items():
            family.add_metric([text for _, text in labels], value)
        yield family
    for histogram in definitions.HISTOGRAMS:
        yield _histogram(histogram, by_name)
    yield CounterMetricFamily(
        "poundcake_rejected_alerts_total",
        "Alerts that were received but could not be processed.",
        value=RejectedAlert.count_all(),
    )


def _with_names(totals: Mapping[Key, float], buckets: Mapping[int, str]) -> dict[Key, float]:
    """Replace the ids of buckets and actions by names.

    The totals come in the order in which they were counted first, so a bucket never moves to or
    from OTHER. The series of a deleted bucket or action end.
    """
    names = {OTHER: OTHER} | {str(pk): name for pk, name in buckets.items()}
    actions = Action.objects.values_list("pk", "name")
    action_names = {"": "", OTHER: OTHER} | {str(pk): name for pk, name in actions}
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


def _unused(buckets: Mapping[int, str]) -> Series:
    """Return zero for each outcome of the first buckets."""
    names = list(buckets.values())[:BUCKETS_MAX]
    return {
        _labels({"bucket": name, "outcome": outcome.value}): 0.0
        for name in names
        for outcome in ENDED_RUN
    }


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
    if not histogram.labels:
        sums = {(): 0.0} | sums
    for labels, seconds in sums.items():
        count, buckets = 0.0, []
        for bound in (*map(str, histogram.bounds), INFINITE):
            count += counts.get(_labels({**dict(labels), BOUND: bound}), 0.0)
            buckets.append((bound, count))
        family.add_metric([text for _, text in labels], buckets, sum_value=seconds)
    return family


def _labels(labels: Mapping[str, str]) -> Labels:
    return tuple(sorted(labels.items()))
