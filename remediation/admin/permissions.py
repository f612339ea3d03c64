"""Permissions in admin follow the roles of the API."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest

from remediation.models import Scope
from remediation.models.roles import has_role


def may_operate(request: HttpRequest) -> bool:
    """Return whether the user may cancel, retry, set outcomes, pause and resume."""
    return has_role(request.user, Scope.OPERATE)


class ReadRoleMixin:
    """Let users with the role ``read`` view the pages of a ModelAdmin or an inline."""

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Accept Django's view permission or the role."""
        has_permission = super().has_view_permission(request, obj)  # type: ignore[misc]  # ModelAdmin
        return has_permission or has_role(request.user, Scope.READ)

    def has_module_permission(self, request: HttpRequest) -> bool:
        """Show the pages on the index."""
        return has_role(request.user, Scope.READ) or super().has_module_permission(request)  # type: ignore[misc]  # ModelAdmin
