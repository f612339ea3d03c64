"""Who may read in admin: the people who may read through the API."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest

from remediation.models import Scope
from remediation.models.roles import has_role


class Readable:
    """Pages that are open to every reader."""

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Let in whom Django lets in, and whoever has the role."""
        is_let_in = super().has_view_permission(request, obj)  # type: ignore[misc]  # of ModelAdmin
        return is_let_in or has_role(request.user, Scope.READ)

    def has_module_permission(self, request: HttpRequest) -> bool:
        """Show the pages on the index."""
        return has_role(request.user, Scope.READ) or super().has_module_permission(request)  # type: ignore[misc]  # of ModelAdmin
