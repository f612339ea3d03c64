"""Say of every bucket why it would take an alert, or why not, as things stand now."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from remediation.matching import Matcher
from remediation.models import Alert, Bucket

DISABLED = "disabled"


@dataclass(frozen=True, slots=True)
class Explanation:
    """One bucket's part in the decision; ``outcome`` is a word of matching, or disabled."""

    bucket: Bucket
    outcome: str
    reason: str


def explain(alert: Alert) -> list[Explanation]:
    """Return a verdict for every bucket: those that firings start, then those for resolves.

    Each kind stands in the order in which the search goes through it, disabled buckets last.
    """
    buckets = list(Bucket.objects.order_by("priority", "pk"))
    explanations: list[Explanation] = []
    for trigger_on in Bucket.TriggerOn:
        triggered = [bucket for bucket in buckets if bucket.trigger_on == trigger_on]
        explanations += _enabled(alert, [bucket for bucket in triggered if bucket.is_enabled])
        explanations += _disabled(alert, [bucket for bucket in triggered if not bucket.is_enabled])
    return explanations


def _enabled(alert: Alert, buckets: list[Bucket]) -> Iterable[Explanation]:
    verdicts = Matcher(bucket.spec for bucket in buckets).explain(alert.labels)
    by_id = {bucket.pk: bucket for bucket in buckets}
    for verdict in verdicts:
        yield Explanation(by_id[verdict.spec.id], str(verdict.outcome), verdict.reason)


def _disabled(alert: Alert, buckets: list[Bucket]) -> Iterable[Explanation]:
    for bucket in buckets:
        (verdict,) = Matcher([bucket.spec]).explain(alert.labels)
        yield Explanation(bucket, DISABLED, f"disabled; enabled, it {_would(verdict.reason)}")


def _would(reason: str) -> str:
    return reason if reason.startswith("takes the alert") else f"would not take it: {reason}"
