"""What a worker holds between its claim and its call."""

from __future__ import annotations

import datetime
from dataclasses import dataclass

from django.conf import settings

from remediation import clock
from remediation.engine.launching import parameters
from remediation.engine.launching.claim import begin_within
from remediation.models import ActionExecution
from remediation.stackstorm import Execution, StackStormClient, unless_too_late


@dataclass(frozen=True, slots=True)
class Request:
    """A claimed execution, rendered and ready to be sent or carried out within ``timer``.

    ``claimed_at`` is the time of its claim, which tells it from a later one of another worker.
    """

    execution: ActionExecution
    rendered: parameters.Rendered
    timer: clock.Timer
    claimed_at: datetime.datetime | None

    def send(self, client: StackStormClient) -> Execution:
        """Call StackStorm. Runs in a thread and touches no database.

        Raises TooLateToSend when this process was stopped until its lease was nearly over.
        """
        with unless_too_late(self.timer.is_over):
            return client.run_action(
                self.rendered.action_ref,
                self.rendered.sent,
                trace_tag=self.execution.trace_tag or "",
                notify_data={"trace_tag": self.execution.trace_tag}
                if settings.ST2_NOTIFY
                else None,
            )

    def reload(self) -> None:
        """Read the execution again; a claim of another worker in between is not taken for ours."""
        self.execution.refresh_from_db()
        self.execution.started_at = self.claimed_at


def begin_timer(*, is_local: bool) -> clock.Timer:
    """Return the time in which a claim that is made now has to be begun."""
    return clock.Timer(begin_within(is_local=is_local).total_seconds())
