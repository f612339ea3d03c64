"""Permissions in admin follow the roles of the API."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.backends import ModelBackend
from django.contrib.auth.models import Group, User
from django.db.models import Q, QuerySet
from django.http import HttpRequest

from remediation.models import Scope
from remediation.models.roles import has_role

OWN_APPS = {"remediation", "audit"}
# Models whose rows role ``edit`` may change. Other rows are read-only or need the role ``admin``.
DEFINITIONS = {"action", "bucket", "bucketstep", "configvalue"}
# Models of our apps that only the role ``admin`` may view.
FOR_ADMINS = {"apitoken", "auditevent"}


class RoleBackend(ModelBackend):
    """Authenticate users by password. Their roles replace Django's permissions per model."""

    def has_perm(self, user_obj: Any, perm: str, obj: Any = None) -> bool:
        """Return whether the user has the role for a permission such as auth.change_user."""
        return has_role(user_obj, required_role(perm))

    def has_module_perms(self, user_obj: Any, app_label: str) -> bool:
        """Return whether the user may view models of an app."""
        return has_role(user_obj, Scope.READ if app_label in OWN_APPS else Scope.ADMIN)

    def get_user_permissions(self, user_obj: Any, obj: Any = None) -> set[str]:
        """Return no permission: those of the database have no effect."""
        return set()

    def get_group_permissions(self, user_obj: Any, obj: Any = None) -> set[str]:
        """Return no permission: those of the database have no effect."""
        return set()


def required_role(permission: str) -> Scope:
    """Return the role that grants one of Django's permissions, such as remediation.add_bucket."""
    app_label, _, codename = permission.partition(".")
    verb, _, model = codename.partition("_")
    if app_label not in OWN_APPS or model in FOR_ADMINS:
        return Scope.ADMIN
    if verb == "view":
        return Scope.READ
    return Scope.EDIT if model in DEFINITIONS else Scope.ADMIN


def may_operate(request: HttpRequest) -> bool:
    """Return whether the user may cancel, retry, set outcomes, pause and resume."""
    return has_role(request.user, Scope.OPERATE)


def admins() -> QuerySet[User]:
    """Return the active users who may change the roles of others in admin."""
    may_change = Q(is_superuser=True) | Q(groups__in=Group.objects.filter(name=Scope.ADMIN))
    return User.objects.filter(may_change, is_active=True, is_staff=True).distinct()
