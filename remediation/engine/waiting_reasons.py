"""Why executions and runs wait, computed on read from the pause, the outage and due times."""

from __future__ import annotations

import datetime
from collections.abc import Iterable
from functools import cached_property

from remediation import clock
from remediation.engine import outage
from remediation.engine.guards import cooldown
from remediation.models import ActionExecution, BucketRun, Pause, Problem

Status = ActionExecution.Status


class WaitReasons:
    """The current reasons for executions to wait. Each is queried once, when first needed."""

    @cached_property
    def at(self) -> datetime.datetime:
        """The time to compare due times with."""
        return clock.now()

    @cached_property
    def pause(self) -> Pause | None:
        """The current pause."""
        return Pause.current(at=self.at)

    @cached_property
    def stackstorm(self) -> Problem | None:
        """The current problem with StackStorm."""
        return outage.current()

    def reason(self, row: ActionExecution) -> str:
        """Return why an execution waits, in one or two sentences, or '' if it does not wait."""
        if row.parent_id is not None or row.status in ActionExecution.FINAL:
            return ""
        if row.status == Status.UNKNOWN:
            return "An operator has to set its outcome."
        reasons = {
            Status.PENDING: self._pending,
            Status.LAUNCHING: self._launching,
            Status.RUNNING: self._running,
        }
        return reasons[Status(row.status)](row)

    def reason_of_run(self, run: BucketRun, steps: Iterable[ActionExecution]) -> str:
        """Return why a run waits: the reason of its open execution.

        ``steps``: all executions of the run, or only the open ones.
        """
        if run.status in BucketRun.FINAL:
            return ""
        for row in steps:
            if reason := self.reason(row):
                return f"{row.name}: {reason}" if row.name else reason
        return ""

    def _pending(self, row: ActionExecution) -> str:
        if self.pause:
            return f"PoundCake is {self.pause}."
        if row.executed_via_stackstorm and self.stackstorm:
            return outage.describe(self.stackstorm)
        if row.due_at and row.due_at > self.at:
            if row.run.held_until:
                return cooldown.waiting_text(row.run)
            why = f": {row.error_message}" if row.error_message else "."
            return f"Not due until {row.due_at:%Y-%m-%d %H:%M:%S} UTC{why}"
        return "It waits for a worker."

    def _launching(self, row: ActionExecution) -> str:
        return row.error_message if row.lookup_until else ""

    def _running(self, row: ActionExecution) -> str:
        if row.asking_since:
            return "It waits for a user's response in StackStorm."
        if row.executed_via_stackstorm and self.stackstorm:
            return f"Its progress is unknown. {outage.describe(self.stackstorm)}"
        # The error of the last poll, if its result could not be recorded.
        return row.error_message


def open_executions(runs: Iterable[BucketRun]) -> dict[int, list[ActionExecution]]:
    """Return the unfinished executions by run id, without workflow tasks, in one query."""
    ids = [run.pk for run in runs if run.status not in BucketRun.FINAL]
    rows = ActionExecution.objects.filter(run__in=ids, parent=None).select_related("run")
    found: dict[int, list[ActionExecution]] = {}
    unfinished = rows.exclude(status__in=ActionExecution.FINAL)
    # Django makes no query for an empty list of ids.
    for row in unfinished.defer("parameters", "st2_result").order_by("pk"):
        found.setdefault(row.run_id, []).append(row)
    return found
