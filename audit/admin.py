"""The recorded API calls, to be searched and read."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.safestring import SafeString

from audit.models import ApiCall
from remediation.admin import formatting
from remediation.admin.read_only import ReadOnlyModelAdmin


class MethodFilter(admin.SimpleListFilter):
    """Calls by method: from a fixed list, since asking for the distinct ones reads every row."""

    title = parameter_name = "method"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Return the methods of the API."""
        return [(word, word) for word in ("GET", "POST", "PUT", "PATCH", "DELETE")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[ApiCall]) -> QuerySet[ApiCall]:
        """Keep the chosen method."""
        return queryset.filter(method=self.value()) if self.value() else queryset


class AnswerFilter(admin.SimpleListFilter):
    """Calls by what became of them."""

    title = parameter_name = "answer"
    ranges = {"done": (0, 399), "refused": (400, 499), "failed": (500, 999)}

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Return the three kinds of status codes."""
        return [("done", "done"), ("refused", "refused (4xx)"), ("failed", "failed (5xx)")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[ApiCall]) -> QuerySet[ApiCall]:
        """Keep the chosen kind."""
        chosen = self.ranges.get(self.value() or "")
        return queryset.filter(status_code__range=chosen) if chosen else queryset


@admin.register(ApiCall)
class ApiCallAdmin(ReadOnlyModelAdmin[ApiCall]):
    """Calls, newest first."""

    # No date_hierarchy: it reads the day of every row before it shows one.
    list_display = ["at", "method", "path", "status_code", "actor", "took", "story_word"]
    list_filter = [MethodFilter, AnswerFilter]
    search_fields = ["request_id__exact", "client_request_id__exact"]
    scanned_search_fields = ["path__begins", "actor__exact"]
    search_help_text = "A whole request id, ours or the caller's, an actor, or the begin of a path"
    fieldsets = [
        (
            None,
            {
                "fields": [
                    ("at", "took", "status_code"),
                    ("method", "path"),
                    ("actor", "client_host"),
                    ("story", "client_request_id"),
                    "shown_query",
                    "shown_body",
                    "shown_response",
                    "shown_headers",
                ]
            },
        )
    ]

    def list_queryset(self, rows: QuerySet[ApiCall]) -> QuerySet[ApiCall]:
        """Leave out the long columns."""
        return rows.defer("headers", "body", "response_body", "query_params")

    def tools(self, obj: ApiCall) -> list[SafeString]:
        """Return the story."""
        return [formatting.tool_link(formatting.story_url(obj.request_id), "Story")]

    @admin.display(description="at (UTC)")
    def at(self, call: ApiCall) -> SafeString | str:
        """Return when the call came in."""
        return formatting.utc_time(call.created_at)

    @admin.display(description="took")
    def took(self, call: ApiCall) -> str:
        """Return the time to the answer."""
        return f"{call.processing_time_ms:.1f} ms"

    @admin.display(description="request id")
    def story(self, call: ApiCall) -> SafeString | str:
        """Return the link to all that the call caused."""
        return formatting.story_link(call.request_id)

    @admin.display(description="story")
    def story_word(self, call: ApiCall) -> SafeString:
        """Return the same link in one word, for the list."""
        return formatting.tool_link(formatting.story_url(call.request_id), "story")

    @admin.display(description="query")
    def shown_query(self, call: ApiCall) -> SafeString | str:
        """Return the query parameters."""
        return formatting.json_block(call.query_params)

    @admin.display(description="body")
    def shown_body(self, call: ApiCall) -> SafeString | str:
        """Return the body, secrets masked."""
        return formatting.json_block(call.body)

    @admin.display(description="answer")
    def shown_response(self, call: ApiCall) -> SafeString | str:
        """Return the answer's body."""
        return formatting.json_block(call.response_body)

    @admin.display(description="headers")
    def shown_headers(self, call: ApiCall) -> SafeString | str:
        """Return the headers, credentials masked."""
        return formatting.json_block(call.headers)
