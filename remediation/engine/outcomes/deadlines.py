"""Deadlines of executions in StackStorm, by our clock."""

from __future__ import annotations

import datetime
from dataclasses import dataclass

from django.conf import settings

from remediation.models import ActionExecution


@dataclass(frozen=True, slots=True)
class Deadline:
    """The time by which an execution must have ended.

    ``limit``: seconds and name of the setting that applies. ``is_asking``: an inquiry is open.
    """

    at: datetime.datetime
    limit: str
    is_asking: bool

    def is_over(self, at: datetime.datetime) -> bool:
        """Return whether the deadline has passed at ``at``."""
        return at >= self.at

    @property
    def timeout_reason(self) -> str:
        """The reason recorded on an execution that is ended at the deadline."""
        if self.is_asking:
            return f"not answered within {self.limit}"
        return f"not ended within {self.limit} and canceled; the command may still run"


def deadline(row: ActionExecution) -> Deadline:
    """Return the deadline of a running execution. Its run and plan must be loaded."""
    if row.asking_since:
        start, seconds, name = row.asking_since, settings.ST2_INQUIRY_TIMEOUT, "ST2_INQUIRY_TIMEOUT"
    elif row.running_at:
        step = row.run.plan.step(row.step_order)
        start, seconds, name = row.running_at, step["timeout_seconds"], "timeout_seconds"
    else:
        start = row.started_at or row.created_at
        seconds, name = settings.ST2_QUEUE_TIMEOUT, "ST2_QUEUE_TIMEOUT"
    return Deadline(
        start + datetime.timedelta(seconds=seconds),
        f"{seconds:g} s ({name})",
        is_asking=bool(row.inquiries) or row.st2_action_execution_status == "pending",
    )
