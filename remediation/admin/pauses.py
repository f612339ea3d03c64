"""Pauses: hold everything back and let it go on, and the record of when that was."""

from __future__ import annotations

import datetime

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.views.decorators.http import require_POST

from remediation import clock
from remediation.admin import formatting
from remediation.admin.operations import ReasonForm
from remediation.admin.permissions import may_operate
from remediation.admin.read_only import ReadOnlyModelAdmin
from remediation.admin.related_tables import RelatedTable, execution_table
from remediation.admin.request_cause import request_cause
from remediation.engine.operations import pause
from remediation.models import Pause

SPANS = [
    ("", "until somebody resumes"),
    ("30", "30 minutes"),
    ("60", "1 hour"),
    ("120", "2 hours"),
    ("240", "4 hours"),
    ("480", "8 hours"),
    ("1440", "1 day"),
]


class PauseForm(ReasonForm):
    """Why, and for how long; ``minutes`` may be empty."""

    minutes = forms.ChoiceField(label="For", choices=SPANS, required=False)


@admin.register(Pause)
class PauseAdmin(ReadOnlyModelAdmin[Pause]):
    """Pauses, newest first."""

    list_display = ["short_id", "state", "short_reason", "actor", "began", "until", "ended"]
    fieldsets = [
        (
            None,
            {
                "fields": [
                    ("state", "actor", "began", "until"),
                    "whole_reason",
                    ("ended", "ended_by"),
                ]
            },
        )
    ]

    def get_urls(self) -> list[URLPattern]:
        """Put the two verbs before the rows."""
        site = self.admin_site
        return [
            path("begin/", site.admin_view(self.begin), name="remediation_pause_begin"),
            path(
                "resume/",
                site.admin_view(require_POST(self.resume)),
                name="remediation_pause_resume",
            ),
            *super().get_urls(),
        ]

    def begin(self, request: HttpRequest) -> HttpResponse:
        """Ask why and for how long; on POST pause, and show what goes on all the same."""
        if not may_operate(request):
            raise PermissionDenied
        form = PauseForm(request.POST if request.method == "POST" else None)
        if request.method == "POST" and form.is_valid():
            cause = request_cause(request)
            minutes = form.cleaned_data["minutes"]
            expires_at = cause.at + datetime.timedelta(minutes=int(minutes)) if minutes else None
            reason = form.cleaned_data["reason"]
            held = pause.pause(reason=reason, expires_at=expires_at, cause=cause)
            return HttpResponseRedirect(formatting.change_url(held, held.pk))
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": "Pause",
            "form": form,
            "back": formatting.list_url(Pause),
        }
        return TemplateResponse(request, "admin/remediation/pause.html", context)

    def resume(self, request: HttpRequest) -> HttpResponse:
        """Let everything go on."""
        if not may_operate(request):
            raise PermissionDenied
        if pause.resume(cause=request_cause(request)):
            self.message_user(request, "Resumed: what waited starts now.", messages.SUCCESS)
        else:
            self.message_user(request, "Nothing was paused any more.", messages.WARNING)
        return HttpResponseRedirect(formatting.list_url(Pause))

    def tables(self, obj: Pause) -> list[RelatedTable]:
        """Return what goes on while the pause holds."""
        if obj != Pause.current(at=clock.now()):
            return []
        return [
            execution_table(
                pause.in_flight(), title="In flight, goes on", empty="Nothing is in flight."
            )
        ]

    @admin.display(description="pause")
    def short_id(self, row: Pause) -> str:
        """Return the short name."""
        return f"#{row.pk}"

    @admin.display(description="state")
    def state(self, row: Pause) -> str:
        """Return whether it holds."""
        if row.ended_at:
            return formatting.badge("ended")
        is_over = row.expires_at is not None and row.expires_at <= clock.now()
        return formatting.badge("expired" if is_over else "paused")

    @admin.display(description="reason")
    def short_reason(self, row: Pause) -> str:
        """Return the reason, cut for the list."""
        return formatting.shorten(row.reason)

    @admin.display(description="reason")
    def whole_reason(self, row: Pause) -> str:
        """Return the whole reason, with its lines."""
        return formatting.text_block(row.reason)

    @admin.display(description="since (UTC)")
    def began(self, row: Pause) -> str:
        """Return when it began."""
        return formatting.utc_time(row.created_at)

    @admin.display(description="until (UTC)")
    def until(self, row: Pause) -> str:
        """Return when it ends by itself."""
        return formatting.utc_time(row.expires_at) if row.expires_at else "somebody resumes"

    @admin.display(description="ended (UTC)")
    def ended(self, row: Pause) -> str:
        """Return when somebody ended it."""
        return formatting.utc_time(row.ended_at)
