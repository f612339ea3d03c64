"""Admin of API tokens: a token's secret is shown once; afterwards it can only be revoked."""

from __future__ import annotations

import datetime
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.utils import model_ngettext
from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils.html import format_html

from remediation import clock
from remediation.admin import formatting
from remediation.admin.permissions import admins
from remediation.admin.search import BoundedSearch
from remediation.models import ActorKind, ApiToken, Cause, Scope
from remediation.models.roles import has_role

SCOPES = [
    (Scope.WEBHOOK, "webhook: send alerts (Alertmanager)"),
    (Scope.STACKSTORM, "stackstorm: report executions (StackStorm's rule)"),
    (Scope.READ, "read: view all records"),
    (Scope.OPERATE, "operate: read, and operations such as retry and cancel"),
    (Scope.EDIT, "edit: read, and change actions and buckets"),
    (Scope.ADMIN, "admin: everything"),
]


class TokenForm(forms.ModelForm[ApiToken]):
    """The name, scopes and expiry of a new token."""

    scopes = forms.MultipleChoiceField(choices=SCOPES, widget=forms.CheckboxSelectMultiple)

    class Meta:
        model = ApiToken
        fields = ["name", "scopes", "expires_at"]
        help_texts = {
            "name": "The client that uses the token; recorded as the caller",
            "expires_at": "UTC. Empty: the token does not expire",
        }

    def clean_expires_at(self) -> datetime.datetime | None:
        """Reject a time in the past."""
        expires_at: datetime.datetime | None = self.cleaned_data["expires_at"]
        if expires_at and expires_at <= clock.now():
            raise ValidationError("Enter a time in the future (UTC), or leave it empty.")
        return expires_at


@admin.register(ApiToken)
class ApiTokenAdmin(BoundedSearch, admin.ModelAdmin[ApiToken]):
    """API tokens by name."""

    form = TokenForm
    actions = ["revoke"]
    list_display = [
        "name",
        "prefix",
        "shown_scopes",
        "state",
        "used",
        "expires",
        "issuer",
        "created",
    ]
    search_fields = ["name__has_text", "prefix__exact"]
    ordering = ["name"]

    def get_fields(self, request: HttpRequest, obj: ApiToken | None = None) -> list[Any]:
        """Return the form's fields for a new token, and the columns of an existing one."""
        if obj is None:
            return ["name", "scopes", "expires_at"]
        dates = ["created", "issuer", "expires", "used", "revoked", "revoker"]
        return ["name", "prefix", "shown_scopes", "state", *dates]

    def has_change_permission(self, request: HttpRequest, obj: ApiToken | None = None) -> bool:
        """Return False: to change scopes, issue a new token."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: ApiToken | None = None) -> bool:
        """Return False: recorded API calls refer to tokens by name."""
        return False

    def has_revoke_permission(self, request: HttpRequest) -> bool:
        """Return whether the user may revoke tokens."""
        return has_role(request.user, Scope.ADMIN)

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> HttpResponse:
        """Show only the button "Save", which leads to the page with the secret."""
        context |= {"show_save_and_add_another": False, "show_save_and_continue": False}
        return super().render_change_form(request, context, *args, **kwargs)

    def save_model(self, request: HttpRequest, obj: ApiToken, form: Any, change: bool) -> None:
        """Create the secret and keep it on the instance for response_add() only."""
        text = obj.issue_secret(cause=Cause.of_request(request))
        obj.issued_text = text  # type: ignore[attr-defined]  # no column

    def response_add(
        self, request: HttpRequest, obj: ApiToken, post_url_continue: str | None = None
    ) -> HttpResponse:
        """Show the secret in this response: a message after a redirect would store it."""
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": "API token issued",
            "token": obj,
            "text": obj.issued_text,  # type: ignore[attr-defined]  # of save_model()
        }
        return TemplateResponse(request, "admin/remediation/token_issued.html", context)

    @admin.action(description="Revoke selected %(verbose_name_plural)s", permissions=["revoke"])
    def revoke(self, request: HttpRequest, tokens: QuerySet[ApiToken]) -> None:
        """Revoke tokens; the next request with one of them fails."""
        count = 0
        for token in tokens:
            if token.revoke(cause=Cause.of_request(request)):
                self.log_change(request, token, "Revoked.")
                count += 1
        text = f"{count} {model_ngettext(self.opts, count)} revoked."
        self.message_user(request, text, messages.SUCCESS)

    @admin.display(description="scopes")
    def shown_scopes(self, token: ApiToken) -> str:
        """Return the scopes in one line."""
        return ", ".join(token.scopes)

    @admin.display(description="state")
    def state(self, token: ApiToken) -> str:
        """Return whether the token is valid, expired or revoked."""
        if token.revoked_at:
            return formatting.badge("revoked")
        return formatting.badge("valid" if token.is_valid else "expired")

    @admin.display(description="last used (UTC)", ordering="last_used_at")
    def used(self, token: ApiToken) -> str:
        """Return the time of its last use, with a resolution of a minute."""
        return formatting.utc_time(token.last_used_at) if token.last_used_at else "never"

    @admin.display(description="expires (UTC)", ordering="expires_at")
    def expires(self, token: ApiToken) -> str:
        """Return the time when it expires."""
        return formatting.utc_time(token.expires_at) if token.expires_at else "never"

    @admin.display(description="created (UTC)", ordering="created_at")
    def created(self, token: ApiToken) -> str:
        """Return the time when it was issued."""
        return formatting.utc_time(token.created_at)

    @admin.display(description="issued by", ordering="created_by")
    def issuer(self, token: ApiToken) -> str:
        """Return who issued it, and whether that user may still issue tokens."""
        shown = formatting.actor(token.created_by, token.created_by_kind)
        if token.created_by_kind != ActorKind.USER or token.revoked_at:
            return shown
        if admins().filter(username=token.created_by).exists():
            return shown
        return format_html("{} (no longer admin)", shown)

    @admin.display(description="revoked by")
    def revoker(self, token: ApiToken) -> str:
        """Return who revoked it."""
        return formatting.actor(token.revoked_by, token.revoked_by_kind)

    @admin.display(description="revoked (UTC)")
    def revoked(self, token: ApiToken) -> str:
        """Return the time when it was revoked."""
        return formatting.utc_time(token.revoked_at)
