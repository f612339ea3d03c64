"""What people may do: their groups bear the names of the scopes that programs have.

Staff without such a group may read, superusers may do everything.
"""

from __future__ import annotations

from typing import Any

from remediation.models.token import IMPLIED_BY, Scope

ROLES = (Scope.READ, Scope.OPERATE, Scope.EDIT, Scope.ADMIN)


def has_role(user: Any, scope: Scope) -> bool:
    """Return whether a signed-in person has the role, or one that implies it."""
    granted = _roles(user)
    return scope in granted or bool(IMPLIED_BY[scope] & granted)


def _roles(user: Any) -> set[str]:
    if user.is_superuser:
        return {Scope.ADMIN}
    granted = set(user.groups.filter(name__in=ROLES).values_list("name", flat=True))
    if not granted and user.is_staff:
        return {Scope.READ}
    return granted
