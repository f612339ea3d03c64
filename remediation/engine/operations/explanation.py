"""Explain for every bucket why it matches an alert now, or why not."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from remediation.matching import Matcher, MatchOutcome
from remediation.models import Alert, Bucket

DISABLED = "disabled"


@dataclass(frozen=True, slots=True)
class Explanation:
    """The result for one bucket; ``outcome`` is a matching outcome or DISABLED."""

    bucket: Bucket
    outcome: str
    reason: str


def explain(alert: Alert) -> list[Explanation]:
    """Return an explanation for every bucket: first buckets on firing, then buckets on resolved.

    Both are in matching order, disabled buckets last.
    """
    buckets = list(Bucket.objects.order_by("priority", "pk"))
    explanations: list[Explanation] = []
    for trigger_on in Bucket.TriggerOn:
        triggered = [bucket for bucket in buckets if bucket.trigger_on == trigger_on]
        explanations += _enabled(alert, [bucket for bucket in triggered if bucket.is_enabled])
        explanations += _disabled(alert, [bucket for bucket in triggered if not bucket.is_enabled])
    return explanations


def _enabled(alert: Alert, buckets: list[Bucket]) -> Iterable[Explanation]:
    results = Matcher(bucket.spec for bucket in buckets).explain(alert.labels)
    by_id = {bucket.pk: bucket for bucket in buckets}
    for result in results:
        yield Explanation(by_id[result.spec.id], str(result.outcome), result.reason)


def _disabled(alert: Alert, buckets: list[Bucket]) -> Iterable[Explanation]:
    for bucket in buckets:
        (result,) = Matcher([bucket.spec]).explain(alert.labels)
        is_match = result.outcome is MatchOutcome.MATCHED
        effect = result.reason if is_match else f"would not match: {result.reason}"
        yield Explanation(bucket, DISABLED, f"disabled; if enabled, it {effect}")
