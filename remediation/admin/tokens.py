"""API tokens: issued with their text told once, then only revoked."""

from __future__ import annotations

import datetime
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse

from remediation import clock
from remediation.admin import formatting
from remediation.models import ApiToken, Scope

SCOPES = [
    (Scope.WEBHOOK, "webhook: send alerts (Alertmanager)"),
    (Scope.STACKSTORM, "stackstorm: report executions (StackStorm's rule)"),
    (Scope.READ, "read: everything that is on record"),
    (Scope.OPERATE, "operate: read, and the verbs such as retry"),
    (Scope.EDIT, "edit: read, and change actions and buckets"),
    (Scope.ADMIN, "admin: everything"),
]


class TokenForm(forms.ModelForm[ApiToken]):
    """What a new token may do, and for how long."""

    scopes = forms.MultipleChoiceField(choices=SCOPES, widget=forms.CheckboxSelectMultiple)

    class Meta:
        model = ApiToken
        fields = ["name", "scopes", "expires_at"]
        help_texts = {
            "name": "Who will use it; the record names the caller so",
            "expires_at": "UTC; empty: it does not expire",
        }

    def clean_expires_at(self) -> datetime.datetime | None:
        """Refuse a token that is born expired."""
        expires_at: datetime.datetime | None = self.cleaned_data["expires_at"]
        if expires_at and expires_at <= clock.now():
            raise ValidationError("Give a time to come (UTC), or none.")
        return expires_at


@admin.register(ApiToken)
class ApiTokenAdmin(admin.ModelAdmin[ApiToken]):
    """Tokens by name; a secret is never shown again."""

    form = TokenForm
    actions = ["revoke"]
    list_display = ["name", "prefix", "shown_scopes", "state", "used", "expires", "made"]
    search_fields = ["name__has_text", "prefix__exact"]
    ordering = ["name"]

    def get_fields(self, request: HttpRequest, obj: ApiToken | None = None) -> list[Any]:
        """Ask for little; show what is known."""
        if obj is None:
            return ["name", "scopes", "expires_at"]
        return ["name", "prefix", "shown_scopes", "state", "made", "expires", "used", "revoked"]

    def has_change_permission(self, request: HttpRequest, obj: ApiToken | None = None) -> bool:
        """Refuse: a token that may do something else is another token."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: ApiToken | None = None) -> bool:
        """Refuse: the record names tokens."""
        return False

    def has_revoke_permission(self, request: HttpRequest) -> bool:
        """Return whether the person may take tokens back."""
        return bool(request.user.has_perm("remediation.change_apitoken"))

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> HttpResponse:
        """Offer one way to save: it ends on the page that shows the text."""
        context |= {"show_save_and_add_another": False, "show_save_and_continue": False}
        return super().render_change_form(request, context, *args, **kwargs)

    def save_model(self, request: HttpRequest, obj: ApiToken, form: Any, change: bool) -> None:
        """Give the new token its secret, and keep the text for the answer alone."""
        obj.issued_text = obj.renew_secret()  # type: ignore[attr-defined]  # no column
        super().save_model(request, obj, form, change)

    def response_add(
        self, request: HttpRequest, obj: ApiToken, post_url_continue: str | None = None
    ) -> HttpResponse:
        """Show the text in the answer itself: a message after a redirect would store it."""
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": "API token issued",
            "token": obj,
            "text": obj.issued_text,  # type: ignore[attr-defined]  # of save_model()
        }
        return TemplateResponse(request, "admin/remediation/token_issued.html", context)

    @admin.action(description="Revoke the selected tokens", permissions=["revoke"])
    def revoke(self, request: HttpRequest, tokens: QuerySet[ApiToken]) -> None:
        """Take tokens back, from the next call on."""
        count = 0
        for token in tokens:
            # Only the first revoke counts, also of two people at once.
            row = ApiToken.objects.filter(pk=token.pk, revoked_at=None)
            if row.update(revoked_at=clock.now()):
                self.log_change(request, token, "Revoked.")
                count += 1
        self.message_user(request, f"{count} revoked.", messages.SUCCESS)

    @admin.display(description="scopes")
    def shown_scopes(self, token: ApiToken) -> str:
        """Return the scopes in one line."""
        return ", ".join(token.scopes)

    @admin.display(description="state")
    def state(self, token: ApiToken) -> str:
        """Return whether it opens anything now."""
        if token.revoked_at:
            return formatting.badge("revoked")
        return formatting.badge("valid" if token.is_valid else "expired")

    @admin.display(description="last used (UTC)", ordering="last_used_at")
    def used(self, token: ApiToken) -> str:
        """Return when it was last used, to the minute."""
        return formatting.utc_time(token.last_used_at) if token.last_used_at else "never"

    @admin.display(description="expires (UTC)", ordering="expires_at")
    def expires(self, token: ApiToken) -> str:
        """Return when it stops to work by itself."""
        return formatting.utc_time(token.expires_at) if token.expires_at else "never"

    @admin.display(description="made (UTC)", ordering="created_at")
    def made(self, token: ApiToken) -> str:
        """Return when it was issued."""
        return formatting.utc_time(token.created_at)

    @admin.display(description="revoked (UTC)")
    def revoked(self, token: ApiToken) -> str:
        """Return when it was taken back."""
        return formatting.utc_time(token.revoked_at)
