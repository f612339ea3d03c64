"""Admin of users and of the groups that give them roles."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin
from django.contrib.auth.admin import GroupAdmin, UserAdmin
from django.contrib.auth.forms import UserChangeForm
from django.contrib.auth.models import Group, User
from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.html import format_html_join

from remediation.admin import formatting
from remediation.admin.permissions import admins
from remediation.admin.search import BoundedSearch
from remediation.models import AuditEvent, Cause, Scope
from remediation.models.roles import ROLES

ADDITION_FIELDS = ["username", "usable_password", "password1", "password2", "is_staff", "groups"]
LOGIN_FIELDS = ["is_active", "is_staff"]
NO_ADMIN_LEFT = (
    "After this change, no active user with staff status would have the role admin. Give it to"
    " another user first."
)

admin.site.unregister(User)
admin.site.unregister(Group)


class UserForm(UserChangeForm[User]):
    """A user. Rejects changes that would leave PoundCake without an administrator."""

    editor_id: int | None = None  # the user who saves; set by UserWithRolesAdmin

    def clean(self) -> dict[str, Any]:
        """Reject the loss of the last administrator, and of the role of the user who saves."""
        data: dict[str, Any] = super().clean() or {}
        was_admin = admins().filter(pk=self.instance.pk).exists()
        if not was_admin or self._stays_admin(data):
            return data
        if not admins().exclude(pk=self.instance.pk).exists():
            raise ValidationError(NO_ADMIN_LEFT)
        if self.instance.pk == self.editor_id:
            raise ValidationError(
                "You would lose the role admin by this change. Ask another user with the role"
                " admin to make it."
            )
        return data

    def _stays_admin(self, data: dict[str, Any]) -> bool:
        """Return whether the user can change roles in admin after the change."""
        user = self.instance
        may_log_in = all(data.get(name, getattr(user, name)) for name in LOGIN_FIELDS)
        is_superuser = data.get("is_superuser", user.is_superuser)
        groups = data.get("groups", ())
        return may_log_in and (is_superuser or any(group.name == Scope.ADMIN for group in groups))


@admin.register(User)
class UserWithRolesAdmin(BoundedSearch, UserAdmin[User]):
    """Users by name. Records name users, so they are deactivated rather than renamed or deleted."""

    form = UserForm
    list_display = ["username", "roles", "is_active", "is_staff", "is_superuser", "last_login"]
    list_filter = ["groups", "is_active", "is_staff", "is_superuser"]
    search_fields = ["username", "first_name", "last_name", "email"]
    filter_horizontal = ["groups"]
    show_facets = admin.ShowFacets.NEVER
    add_fieldsets = [(None, {"classes": ["wide"], "fields": ADDITION_FIELDS})]

    def get_fieldsets(self, request: HttpRequest, obj: User | None = None) -> Any:
        """Return the fields without Django's permissions per model, which have no effect."""
        if obj is None:
            return self.add_fieldsets
        # Only a superuser may make or unmake a superuser.
        rights = ["is_superuser"] if self._is_superuser(request) else []
        return [
            (None, {"fields": ["username", "password", *LOGIN_FIELDS, *rights, "groups"]}),
            ("Personal info", {"fields": ["first_name", "last_name", "email"]}),
            ("Dates", {"fields": ["last_login", "date_joined"]}),
        ]

    def get_readonly_fields(self, request: HttpRequest, obj: User | None = None) -> list[str]:
        """Return the name and the dates: the audit trail refers to users by name."""
        return ["username", "last_login", "date_joined"] if obj else []

    def get_form(
        self, request: HttpRequest, obj: User | None = None, change: bool = False, **kwargs: Any
    ) -> Any:
        """Return the form, which knows the user who saves."""
        form = super().get_form(request, obj, change=change, **kwargs)
        return type(form.__name__, (form,), {"editor_id": request.user.pk})

    def formfield_for_dbfield(self, db_field: Any, request: Any, **kwargs: Any) -> Any:
        """Explain staff status and groups in terms of the roles."""
        field = super().formfield_for_dbfield(db_field, request, **kwargs)
        if field and db_field.name == "is_staff":
            field.help_text = "The user may log in to these pages. What they show needs a role"
            field.initial = True
        elif field and db_field.name == "groups":
            field.help_text = "; ".join(f"{role}: {text}" for role, text in ROLES.items())
        return field

    def has_change_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        """Return whether the user may change users; only superusers may change a superuser."""
        if obj and obj.is_superuser and not self._is_superuser(request):
            return False
        return super().has_change_permission(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        """Return False: records refer to users by name, and a new user could take the name."""
        return False

    def get_queryset(self, request: HttpRequest) -> QuerySet[User]:
        """Prefetch the groups for the list."""
        return super().get_queryset(request).prefetch_related("groups")

    def log_addition(self, request: HttpRequest, obj: User, message: Any) -> Any:
        """Record the new user as an audit event, too."""
        self._record(AuditEvent.Kind.USER_ADDED, request, obj, message)
        return super().log_addition(request, obj, message)

    def log_change(self, request: HttpRequest, obj: User, message: Any) -> Any:
        """Record a change of the user, such as a new password, as an audit event, too."""
        self._record(AuditEvent.Kind.USER_CHANGED, request, obj, message)
        return super().log_change(request, obj, message)

    def _record(
        self, kind: AuditEvent.Kind, request: HttpRequest, user: User, message: Any
    ) -> None:
        """Record the names of the changed fields, and the rights of the user after the change."""
        rights = {name: getattr(user, name) for name in (*LOGIN_FIELDS, "is_superuser")}
        groups = sorted(user.groups.values_list("name", flat=True))
        data = {"changes": message, "groups": groups, **rights}
        cause = Cause.of_request(request)
        AuditEvent.record(kind, subject=user.get_username(), cause=cause, data=data)

    @admin.display(description="roles")
    def roles(self, user: User) -> str:
        """Return the groups of a user."""
        names = ", ".join(group.name for group in user.groups.all())
        return "superuser" if user.is_superuser else names or "none"

    def _is_superuser(self, request: HttpRequest) -> bool:
        return bool(request.user.is_superuser)


class GroupForm(forms.ModelForm[Group]):
    """The name of a group."""

    class Meta:
        model = Group
        fields = ["name"]
        help_texts = {"name": f"Only the groups {', '.join(ROLES)} give a role"}


@admin.register(Group)
class RoleGroupAdmin(BoundedSearch, GroupAdmin):
    """Groups with the roles they give and their members."""

    form = GroupForm
    list_display = ["name", "role", "members"]
    filter_horizontal = ()

    def get_fields(self, request: HttpRequest, obj: Group | None = None) -> list[Any]:
        """Return the fields without Django's permissions per model, which have no effect."""
        return ["name", "role", "members"] if obj else ["name"]

    def get_readonly_fields(self, request: HttpRequest, obj: Group | None = None) -> list[str]:
        """Return what cannot be changed: the group of a role keeps its name."""
        return ["name", "role", "members"] if obj and obj.name in ROLES else ["role", "members"]

    def has_delete_permission(self, request: HttpRequest, obj: Group | None = None) -> bool:
        """Return False for the group of a role."""
        is_role = obj is not None and obj.name in ROLES
        return not is_role and super().has_delete_permission(request, obj)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Group]:
        """Prefetch the members for the list."""
        return super().get_queryset(request).prefetch_related("user_set")

    @admin.display(description="role")
    def role(self, group: Group) -> str:
        """Return what the role allows."""
        return ROLES.get(group.name, "none")

    @admin.display(description="members")
    def members(self, group: Group) -> str:
        """Return the members as links."""
        links = [
            (formatting.change_url(user, user.pk), user.get_username())
            for user in group.user_set.all()
        ]
        return format_html_join(", ", '<a href="{}">{}</a>', links) or formatting.EMPTY
