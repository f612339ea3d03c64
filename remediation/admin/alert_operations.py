"""Operations on alerts: match again, run a bucket manually."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django import forms

from remediation.admin.operations import Operation, Result
from remediation.admin.run_operations import new_run_result, resolved_warning
from remediation.engine.operations import retry
from remediation.models import Alert, Bucket, Cause


class BucketForm(forms.Form):
    """The bucket to run; disabled buckets are not offered."""

    required_css_class = "required"
    bucket = forms.ModelChoiceField(
        Bucket.objects.filter(is_enabled=True).order_by("name"),
        help_text="Runs even if its matcher does not match the alert",
    )


class MatchAgain(Operation[Alert]):
    """Match the alert against the current buckets and run those that match."""

    name = "match_again"
    label = "Match again"
    description = (
        "Matches the alert against the current buckets. Every bucket that matches runs, even if it"
        " has already run for this alert."
    )

    def warnings(self, row: Alert) -> Sequence[str]:
        """Warn about a resolved alert."""
        return resolved_warning(row)

    def perform(self, row: Alert, data: dict[str, Any], *, cause: Cause) -> Result:
        """Create the runs, all or none."""
        runs = retry.match_again(row, cause=cause)
        if len(runs) == 1:
            return new_run_result(runs[0])
        return Result(f"Created {len(runs)} runs: {', '.join(map(str, runs))}.", row)


class RunBucket(MatchAgain):
    """Run one bucket for the alert."""

    name = "run_by_hand"
    label = "Run a bucket"
    description = "Runs the bucket that you choose for this alert."
    form = BucketForm

    def perform(self, row: Alert, data: dict[str, Any], *, cause: Cause) -> Result:
        """Create the run."""
        return new_run_result(retry.run_manually(data["bucket"], row, cause=cause))
