"""Context processor for the banners on every page: the current pause and current problems."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from django.http import HttpRequest

from remediation import clock
from remediation.admin.permissions import admins, may_operate
from remediation.engine import problems
from remediation.engine.problems import CurrentProblem
from remediation.models import ActionExecution, Pause, Scope
from remediation.models.roles import ROLES, has_role, roles_of

Status = ActionExecution.Status


@dataclass(frozen=True)
class SystemStatus:
    """The current pause and problems, queried only when a template reads them."""

    request: HttpRequest

    @cached_property
    def may_operate(self) -> bool:
        """Whether the user may pause and resume."""
        return may_operate(self.request)

    @cached_property
    def may_read(self) -> bool:
        """Whether the user has any role."""
        return has_role(self.request.user, Scope.READ)

    @cached_property
    def own_roles(self) -> list[str]:
        """The roles of the user."""
        return sorted(roles_of(self.request.user))

    @property
    def all_roles(self) -> dict[str, str]:
        """All roles and what they allow."""
        return {str(role): text for role, text in ROLES.items()}

    @cached_property
    def admins(self) -> list[str]:
        """The names of the users who can give roles."""
        return sorted(admins().values_list("username", flat=True))

    @cached_property
    def pause(self) -> Pause | None:
        """The current pause."""
        return Pause.current(at=clock.now())

    @cached_property
    def in_flight(self) -> int:
        """The number of executions in flight, which a pause does not affect."""
        started = (Status.LAUNCHING, Status.RUNNING)
        return ActionExecution.objects.filter(status__in=started, parent=None).count()

    @cached_property
    def problems(self) -> list[CurrentProblem]:
        """Failures that repeat, including those of StackStorm."""
        return problems.current()


def system_status(request: HttpRequest) -> dict[str, Any]:
    """Add the system status to every template."""
    return {"system_status": SystemStatus(request)}
