"""The reason that an alert shows when none of its runs began."""

from __future__ import annotations

from remediation.models import BucketRun


def why_nothing_ran(run: BucketRun) -> str:
    """Return the sentence for the alert of a run that was skipped or is held."""
    taken = f"The bucket {run.bucket.name} took it, but {run.reason}."
    is_held = run.held_until and run.status == BucketRun.Status.PENDING
    return f"{taken} It begins when the alert is repeated after that." if is_held else taken
