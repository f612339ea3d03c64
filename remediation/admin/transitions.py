"""Admin of transitions: every status change of an alert, a run or an execution."""

from __future__ import annotations

from django.contrib import admin

from remediation.admin import formatting
from remediation.admin.read_only import ReadOnlyModelAdmin
from remediation.admin.related_tables import move_cell, subject_link
from remediation.models import Transition


@admin.register(Transition)
class TransitionAdmin(ReadOnlyModelAdmin[Transition]):
    """Transitions, newest first."""

    list_display = [
        "short_id",
        "time",
        "subject",
        "change",
        "short_reason",
        "shown_actor",
        "story",
    ]
    list_filter = ["subject_type", "actor_kind"]
    search_fields = ["request_id__exact", "cause_request_id__exact"]
    search_help_text = "Complete request id, of the story or of the request that made the change"
    fieldsets = [
        (
            None,
            {
                "fields": [
                    ("time", "subject", "change"),
                    ("shown_actor", "story", "request"),
                    "full_reason",
                    "shown_data",
                ]
            },
        )
    ]

    @admin.display(description="transition")
    def short_id(self, transition: Transition) -> str:
        """Return the id alone."""
        return f"#{transition.pk}"

    @admin.display(description="time (UTC)")
    def time(self, transition: Transition) -> str:
        """Return the time of the change."""
        return formatting.utc_time(transition.at)

    @admin.display(description="object")
    def subject(self, transition: Transition) -> str:
        """Return a link to the alert, run or execution that changed."""
        return subject_link(transition)

    @admin.display(description="change")
    def change(self, transition: Transition) -> str:
        """Return the change as "from → to"."""
        return move_cell(transition)

    @admin.display(description="reason")
    def short_reason(self, transition: Transition) -> str:
        """Return the start of the reason."""
        return formatting.shorten(transition.reason) or formatting.EMPTY

    @admin.display(description="reason")
    def full_reason(self, transition: Transition) -> str:
        """Return the complete reason with its line breaks."""
        return formatting.text_block(transition.reason)

    @admin.display(description="story")
    def story(self, transition: Transition) -> str:
        """Return a link to the story that the change belongs to."""
        return formatting.story_link(transition.request_id)

    @admin.display(description="request")
    def request(self, transition: Transition) -> str:
        """Return a link to the story of the request that caused the change."""
        return formatting.story_link(transition.cause_request_id)

    @admin.display(description="data")
    def shown_data(self, transition: Transition) -> str:
        """Return the recorded details as JSON."""
        return formatting.json_block(transition.data)
