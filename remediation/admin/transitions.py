"""Transitions: every change of state, in the order in which they happened."""

from __future__ import annotations

from django.contrib import admin

from remediation.admin import formatting
from remediation.admin.read_only import ReadOnlyModelAdmin
from remediation.admin.related_tables import move_cell, subject_link
from remediation.models import Transition


@admin.register(Transition)
class TransitionAdmin(ReadOnlyModelAdmin[Transition]):
    """Changes of state, newest first."""

    list_display = ["short_id", "moment", "subject", "move", "actor", "short_reason", "story"]
    list_filter = ["subject_type"]
    search_fields = ["request_id__exact", "cause_request_id__exact"]
    search_help_text = "A whole request id: of the story, or of the call that made the change"
    fieldsets = [
        (
            None,
            {
                "fields": [
                    ("moment", "subject", "move"),
                    ("actor", "story", "call"),
                    "whole_reason",
                    "shown_data",
                ]
            },
        )
    ]

    @admin.display(description="transition")
    def short_id(self, transition: Transition) -> str:
        """Return the short name."""
        return f"#{transition.pk}"

    @admin.display(description="at (UTC)")
    def moment(self, transition: Transition) -> str:
        """Return when it happened."""
        return formatting.utc_time(transition.at)

    @admin.display(description="what")
    def subject(self, transition: Transition) -> str:
        """Return the link to the row that changed."""
        return subject_link(transition)

    @admin.display(description="change")
    def move(self, transition: Transition) -> str:
        """Return the change as: from → to."""
        return move_cell(transition)

    @admin.display(description="reason")
    def short_reason(self, transition: Transition) -> str:
        """Return the reason, cut for the list."""
        return formatting.shorten(transition.reason) or formatting.EMPTY

    @admin.display(description="reason")
    def whole_reason(self, transition: Transition) -> str:
        """Return the whole reason, with its lines."""
        return formatting.text_block(transition.reason)

    @admin.display(description="story")
    def story(self, transition: Transition) -> str:
        """Return the link to the story that the change is part of."""
        return formatting.story_link(transition.request_id)

    @admin.display(description="inbound call")
    def call(self, transition: Transition) -> str:
        """Return the link to what else the causing call did."""
        return formatting.story_link(transition.cause_request_id)

    @admin.display(description="data")
    def shown_data(self, transition: Transition) -> str:
        """Return what was recorded beside it."""
        return formatting.json_block(transition.data)
