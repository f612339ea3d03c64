"""Roles of users: groups with the names of token scopes. Superusers may do everything.

Staff status only allows a user to log in to admin; without a role, its pages are empty.
"""

from __future__ import annotations

import logging
from typing import Any

from django.apps import apps as installed_apps
from django.db.models import prefetch_related_objects

from remediation.models.token import IMPLIED_BY, Scope

logger = logging.getLogger(__name__)

ROLES: dict[str, str] = {
    Scope.READ: "view all pages and records",
    Scope.OPERATE: "read, and operations such as retry, cancel and pause",
    Scope.EDIT: "read, and change actions, buckets, steps and config values",
    Scope.ADMIN: "everything, including users, groups and API tokens",
}


def has_role(user: Any, scope: Scope) -> bool:
    """Return whether a user has the role, or one that implies it; anonymous users have none."""
    granted = roles_of(user)
    return scope in granted or bool(IMPLIED_BY[scope] & granted)


def roles_of(user: Any) -> set[str]:
    """Return the roles that a user was given, without those they imply."""
    if not user.is_active:
        return set()
    if user.is_superuser:
        return {Scope.ADMIN}
    # A page checks many times: read the groups once per user object.
    prefetch_related_objects([user], "groups")
    return {group.name for group in user.groups.all()} & set(ROLES)


def create_role_groups(*, using: str, apps: Any = installed_apps, **_signal: Any) -> None:
    """Create the missing groups of the roles. Runs after each ``migrate`` and ``flush``.

    ``apps``: the models at this state of the migrations.
    """
    try:
        groups = apps.get_model("auth", "Group").objects.using(using)
    except LookupError:
        # The migrations of auth have not run yet.
        return
    present = set(groups.values_list("name", flat=True))
    similar = {name.casefold(): name for name in present}
    for role in ROLES:
        if role in present:
            continue
        if role in similar:
            # MariaDB cannot store both names. Renaming the group would give its members the role.
            logger.warning(
                "The role %s does not exist, because a group is named %s. Rename or delete that"
                " group, then run migrate again.",
                role,
                similar[role],
            )
            continue
        groups.create(name=role)
