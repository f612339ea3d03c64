"""Admin of pauses: pause and resume all launches, and the history of pauses."""

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
from remediation.engine.operations import pause
from remediation.models import Cause, Pause

DURATIONS = [
    ("", "until resumed"),
    ("30", "30 minutes"),
    ("60", "1 hour"),
    ("120", "2 hours"),
    ("240", "4 hours"),
    ("480", "8 hours"),
    ("1440", "1 day"),
]


class PauseForm(ReasonForm):
    """The reason and the duration of a pause; empty ``minutes`` means until resumed."""

    minutes = forms.ChoiceField(label="Duration", choices=DURATIONS, required=False)


@admin.register(Pause)
class PauseAdmin(ReadOnlyModelAdmin[Pause]):
    """Pauses, newest first."""

    list_display = [
        "short_id",
        "state",
        "short_reason",
        "shown_actor",
        "started",
        "until",
        "ended",
    ]
    fieldsets = [
        (
            None,
            {
                "fields": [
                    ("state", "shown_actor", "started", "until"),
                    "full_reason",
                    ("ended", "ended_by_whom"),
                ]
            },
        )
    ]

    def get_urls(self) -> list[URLPattern]:
        """Add the pages to pause and resume before the row URLs, which match any path."""
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
        """Show the form; on POST pause, then show the pause and the executions in flight."""
        if not may_operate(request):
            raise PermissionDenied
        form = PauseForm(request.POST if request.method == "POST" else None)
        if request.method == "POST" and form.is_valid():
            cause = Cause.of_request(request)
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
        """End the current pause."""
        if not may_operate(request):
            raise PermissionDenied
        if pause.resume(cause=Cause.of_request(request)):
            self.message_user(request, "Resumed. Waiting executions start now.", messages.SUCCESS)
        else:
            self.message_user(request, "PoundCake was not paused.", messages.WARNING)
        return HttpResponseRedirect(formatting.list_url(Pause))

    def tables(self, obj: Pause) -> list[RelatedTable]:
        """Return the executions in flight during the current pause."""
        if obj != Pause.current(at=clock.now()):
            return []
        return [
            execution_table(
                pause.in_flight(),
                title="In flight (not affected by the pause)",
                empty="No execution is in flight.",
            )
        ]

    @admin.display(description="pause")
    def short_id(self, row: Pause) -> str:
        """Return the id without the reason, which has its own column."""
        return f"#{row.pk}"

    @admin.display(description="state")
    def state(self, row: Pause) -> str:
        """Return whether the pause is active, expired or ended."""
        if row.ended_at:
            return formatting.badge("ended")
        is_over = row.expires_at is not None and row.expires_at <= clock.now()
        return formatting.badge("expired" if is_over else "paused")

    @admin.display(description="reason")
    def short_reason(self, row: Pause) -> str:
        """Return the start of the reason."""
        return formatting.shorten(row.reason)

    @admin.display(description="reason")
    def full_reason(self, row: Pause) -> str:
        """Return the complete reason with its line breaks."""
        return formatting.text_block(row.reason)

    @admin.display(description="since (UTC)")
    def started(self, row: Pause) -> str:
        """Return the time when the pause started."""
        return formatting.utc_time(row.created_at)

    @admin.display(description="until (UTC)")
    def until(self, row: Pause) -> str:
        """Return the time when the pause expires."""
        return formatting.utc_time(row.expires_at) if row.expires_at else "resumed"

    @admin.display(description="ended (UTC)")
    def ended(self, row: Pause) -> str:
        """Return the time when a user ended the pause."""
        return formatting.utc_time(row.ended_at)

    @admin.display(description="ended by")
    def ended_by_whom(self, row: Pause) -> str:
        """Return who ended the pause."""
        return formatting.actor(row.ended_by, row.ended_by_kind)
