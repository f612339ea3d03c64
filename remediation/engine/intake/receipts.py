"""The receipt of each alert, which the webhook returns to the sender."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field

from remediation.alertmanager import InvalidAlert
from remediation.engine.intake.alert_changes import ENDED_ON_ARRIVAL, AppliedAlert
from remediation.engine.intake.assignment import Assignments
from remediation.engine.intake.episodes import Disposition
from remediation.models import Alert, BucketRun


@dataclass(slots=True)
class Receipt:
    """The result for one alert of a notification."""

    fingerprint: str
    alert_name: str
    disposition: Disposition
    buckets: list[str] = field(default_factory=list)
    runs: list[int] = field(default_factory=list)
    reason: str = ""
    notes: list[str] = field(default_factory=list)


def receipt_of(
    applied: AppliedAlert,
    assignments: Assignments,
    *,
    matched_again: Collection[Alert],
    pause_reason: str,
) -> Receipt:
    """Return the receipt of one alert, with the runs that it created.

    ``matched_again``: the repeated alerts that were matched again. ``pause_reason``: why created
    runs do not begin yet, or ''.
    """
    alert, disposition, incoming = applied.alert, applied.disposition, applied.incoming
    receipt = Receipt(incoming.fingerprint, incoming.alert_name, disposition)
    if isinstance(incoming, InvalidAlert):
        receipt.reason = incoming.reason
        return receipt
    receipt.notes = list(incoming.notes)
    if disposition is Disposition.IGNORED and incoming.status == "firing":
        receipt.reason = ENDED_ON_ARRIVAL
    if alert and (
        disposition in (Disposition.CREATED, Disposition.RESOLVED)
        or (disposition is Disposition.REPEATED and alert in matched_again)
    ):
        trigger = "resolved" if disposition is Disposition.RESOLVED else "alert"
        runs = [run for run in assignments.by_alert[alert.pk] if run.trigger == trigger]
        receipt.buckets = [run.bucket.name for run in runs]
        receipt.runs = [run.pk for run in runs]
        if disposition is Disposition.CREATED:
            receipt.reason = alert.reason
            if not runs:
                receipt.disposition = Disposition.UNMATCHED
        if any(run.status == BucketRun.Status.PENDING and not run.held_until for run in runs):
            receipt.reason = pause_reason
    return receipt
