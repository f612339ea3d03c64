"""What people do with alerts: match again, run a bucket by hand."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django import forms

from remediation.admin.operations import Operation, Result
from remediation.admin.run_operations import resolved_warning, started
from remediation.engine.operations import retry
from remediation.models import Alert, Bucket, Cause


class BucketForm(forms.Form):
    """Which bucket; a disabled one would not run."""

    required_css_class = "required"
    bucket = forms.ModelChoiceField(
        Bucket.objects.filter(is_enabled=True).order_by("name"),
        help_text="It is carried out whether it matches the alert or not",
    )


class MatchAgain(Operation[Alert]):
    """Decide anew which buckets take the alert."""

    name = "match_again"
    label = "Match again now"
    description = (
        "The alert is matched against the buckets as they are now, and those that take it run once"
        " more, also where they have run before."
    )

    def warnings(self, row: Alert) -> Sequence[str]:
        """Tell when the alert has gone."""
        return resolved_warning(row)

    def perform(self, row: Alert, data: dict[str, Any], *, cause: Cause) -> Result:
        """Start the runs, all or none."""
        runs = retry.match_again(row, cause=cause)
        if len(runs) == 1:
            return started(runs[0])
        return Result(f"{len(runs)} runs are made: {', '.join(map(str, runs))}.", row)


class RunByHand(MatchAgain):
    """Carry out one bucket for the alert."""

    name = "run_by_hand"
    label = "Run a bucket by hand"
    description = "The bucket that you choose is carried out for this alert."
    form = BucketForm

    def perform(self, row: Alert, data: dict[str, Any], *, cause: Cause) -> Result:
        """Start the run."""
        return started(retry.run_by_hand(data["bucket"], row, cause=cause))
