"""What every page says while it holds: a pause, and that StackStorm is away."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from django.http import HttpRequest

from remediation import clock
from remediation.admin.verbs import may_operate
from remediation.engine.connection import STACKSTORM
from remediation.models import ActionExecution, Heartbeat, Pause

Status = ActionExecution.Status


@dataclass(frozen=True)
class Situation:
    """How things stand now; what a page does not show is not looked up."""

    request: HttpRequest

    @cached_property
    def may_operate(self) -> bool:
        """Whether the person may pause and resume."""
        return may_operate(self.request)

    @cached_property
    def pause(self) -> Pause | None:
        """The pause that holds."""
        return Pause.current(at=clock.now())

    @cached_property
    def in_flight(self) -> int:
        """How many executions go on in a pause."""
        started = (Status.LAUNCHING, Status.RUNNING)
        return ActionExecution.objects.filter(status__in=started, parent=None).count()

    @cached_property
    def unreachable(self) -> Heartbeat | None:
        """Since when StackStorm cannot be reached (``beat_at``), and why (``note``)."""
        return Heartbeat.objects.filter(name=STACKSTORM).exclude(note="").first()


def situation(request: HttpRequest) -> dict[str, Any]:
    """Return the situation to every template."""
    return {"situation": Situation(request)}
