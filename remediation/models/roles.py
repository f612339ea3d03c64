"""Roles of users: groups with the names of token scopes.

Staff without such a group may read; superusers may do everything.
"""

from __future__ import annotations

from typing import Any

from django.db.models import prefetch_related_objects

from remediation.models.token import IMPLIED_BY, Scope

ROLES = {Scope.READ, Scope.OPERATE, Scope.EDIT, Scope.ADMIN}


def has_role(user: Any, scope: Scope) -> bool:
    """Return whether a user has the role, or one that implies it; anonymous users have none."""
    granted = _roles(user)
    return scope in granted or bool(IMPLIED_BY[scope] & granted)


def _roles(user: Any) -> set[str]:
    if not user.is_active:
        return set()
    if user.is_superuser:
        return {Scope.ADMIN}
    # A page checks many times: read the groups once per user object.
    prefetch_related_objects([user], "groups")
    granted = {group.name for group in user.groups.all()} & ROLES
    if not granted and user.is_staff:
        return {Scope.READ}
    return granted
