"""What every page shows while it lasts: a pause, and problems of workers and of StackStorm."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from django.http import HttpRequest

from remediation import clock
from remediation.admin.permissions import may_operate
from remediation.engine import problems
from remediation.engine.problems import Problem
from remediation.models import ActionExecution, Pause

Status = ActionExecution.Status


@dataclass(frozen=True)
class SystemStatus:
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
    def problems(self) -> list[Problem]:
        """What goes wrong again and again; StackStorm's refusals among it."""
        return problems.current()


def system_status(request: HttpRequest) -> dict[str, Any]:
    """Add the system status to every template."""
    return {"system_status": SystemStatus(request)}
