"""Who may do what: each view declares the scope of each of its actions.

Programs have the scopes of their token, people the roles of their groups.
"""

from __future__ import annotations

from typing import Any

from django.core.exceptions import ImproperlyConfigured
from rest_framework.exceptions import NotAuthenticated, PermissionDenied
from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from remediation.api.authentication import HOW
from remediation.models import ApiToken, Scope
from remediation.models.roles import has_role

# They say what could be done and do nothing.
HARMLESS = {"metadata", "options"}


class HasScope(BasePermission):
    """Let in who has the scope that ``view.scopes`` names for the action.

    ``scopes`` maps the action of a view set, or the method in lower case, to a scope. A view
    without an entry for what it does is a fault of ours and open to nobody.
    """

    def has_permission(self, request: Request, view: Any) -> bool:
        """Return True, or raise with one sentence on what is missing."""
        if not request.user.is_authenticated:
            raise NotAuthenticated(f"Credentials are missing. {HOW}")
        method = (request.method or "").lower()
        action = getattr(view, "action", method)
        if action is None or action in HARMLESS or not hasattr(view, action):
            # The view has no such method and says so.
            return True
        if action == "head":
            action = "get"
        if action not in view.scopes:
            raise ImproperlyConfigured(f"{type(view).__name__} declares no scope for {action}.")
        needed: Scope = view.scopes[action]
        if not allows(request, needed):
            raise PermissionDenied(_refusal(request, needed))
        return True


def allows(request: Request, scope: Scope) -> bool:
    """Return whether the caller has the scope, or one that implies it."""
    if isinstance(request.auth, ApiToken):
        return request.auth.allows(scope)
    return has_role(request.user, scope)


def _refusal(request: Request, scope: Scope) -> str:
    name = request.user.get_username()
    if isinstance(request.auth, ApiToken):
        return f"The token {name} lacks the scope {scope}: use one that has it."
    return f"{name} lacks the role {scope}: ask for membership in the group of that name."
