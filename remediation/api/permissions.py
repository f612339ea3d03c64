"""Permissions: each view declares the scope that each of its actions requires.

Tokens have scopes (``models.token``); users have the roles of their groups (``models.roles``).
"""

from __future__ import annotations

from typing import Any

from django.core.exceptions import ImproperlyConfigured
from rest_framework.exceptions import NotAuthenticated, PermissionDenied
from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from remediation.api.authentication import CREDENTIALS_HELP
from remediation.models import ApiToken, Scope
from remediation.models.roles import has_role

# Actions that only describe the endpoint.
UNRESTRICTED_ACTIONS = {"metadata", "options"}


class HasScope(BasePermission):
    """Require the scope that ``view.scopes`` declares for the action.

    ``scopes`` maps the action of a view set, or the lower-case method, to a scope. A missing entry
    is a programming error and raises ImproperlyConfigured.
    """

    def has_permission(self, request: Request, view: Any) -> bool:
        """Return True. Raises NotAuthenticated or PermissionDenied with the reason."""
        if not request.user.is_authenticated:
            raise NotAuthenticated(f"Missing credentials. {CREDENTIALS_HELP}")
        method = (request.method or "").lower()
        action = getattr(view, "action", method)
        if action is None or action in UNRESTRICTED_ACTIONS or not hasattr(view, action):
            # The view responds with 405.
            return True
        if action == "head":
            action = "get"
        if action not in view.scopes:
            raise ImproperlyConfigured(f"{type(view).__name__} declares no scope for {action}.")
        required: Scope = view.scopes[action]
        if not allows(request, required):
            raise PermissionDenied(_denial_reason(request, required))
        return True


def allows(request: Request, scope: Scope) -> bool:
    """Return whether the caller has the scope or one that implies it."""
    if isinstance(request.auth, ApiToken):
        return request.auth.allows(scope)
    return has_role(request.user, scope)


def _denial_reason(request: Request, scope: Scope) -> str:
    name = request.user.get_username()
    if isinstance(request.auth, ApiToken):
        return f"The token {name} lacks the scope {scope}."
    return f"User {name} lacks the role {scope}. Join the group {scope}."
