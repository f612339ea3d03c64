"""The reason an alert shows when none of its runs began."""

from __future__ import annotations

from remediation.models import BucketRun

STARTS_WITH_REPEAT = "It starts when the alert is repeated after that."


def why_nothing_ran(run: BucketRun) -> str:
    """Return the reason for an alert whose run was skipped or is held."""
    reason = f"The bucket {run.bucket.name} matched, but {run.reason}."
    is_held = run.held_until and run.status == BucketRun.Status.PENDING
    return f"{reason} {STARTS_WITH_REPEAT}" if is_held else reason
