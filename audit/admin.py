"""Admin of the recorded API calls."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.safestring import SafeString

from audit.models import ApiCall
from remediation.admin import formatting
from remediation.admin.read_only import ReadOnlyModelAdmin
from remediation.models import AuditEvent


class MethodFilter(admin.SimpleListFilter):
    """Filter by method. The list is fixed: a DISTINCT query would read every row."""

    title = parameter_name = "method"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Return the choices."""
        return [(method, method) for method in ("GET", "POST", "PUT", "PATCH", "DELETE")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[ApiCall]) -> QuerySet[ApiCall]:
        """Filter by the selected method."""
        return queryset.filter(method=self.value()) if self.value() else queryset


class StatusClassFilter(admin.SimpleListFilter):
    """Filter by class of the status code."""

    title, parameter_name = "status", "answer"
    ranges = {"done": (0, 399), "refused": (400, 499), "failed": (500, 999)}

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Return the choices."""
        return [
            ("done", "success (2xx, 3xx)"),
            ("refused", "client error (4xx)"),
            ("failed", "server error (5xx)"),
        ]

    def queryset(self, request: HttpRequest, queryset: QuerySet[ApiCall]) -> QuerySet[ApiCall]:
        """Filter by the selected class."""
        chosen = self.ranges.get(self.value() or "")
        return queryset.filter(status_code__range=chosen) if chosen else queryset


@admin.register(ApiCall)
class ApiCallAdmin(ReadOnlyModelAdmin[ApiCall]):
    """Recorded API calls, newest first."""

    # No date_hierarchy: it reads the date of every row.
    list_display = [
        "at",
        "method",
        "path",
        "status_code",
        "shown_actor",
        "took",
        "story_button",
    ]
    list_filter = [MethodFilter, StatusClassFilter, "actor_kind"]
    search_fields = ["request_id__exact", "client_request_id__exact"]
    scanned_search_fields = ["path__begins", "actor__exact"]
    search_help_text = "Request id, client request id or actor (exact), or start of a path"
    fieldsets = [
        (
            None,
            {
                "fields": [
                    ("at", "took", "status_code"),
                    ("method", "path"),
                    ("shown_actor", "client_host"),
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
        """Defer the large columns."""
        return rows.defer("headers", "body", "response_body", "query_params")

    def tools(self, obj: ApiCall) -> list[SafeString]:
        """Return the link to the story."""
        return [formatting.tool_link(formatting.story_url(obj.request_id), "Story")]

    @admin.display(description="at (UTC)")
    def at(self, call: ApiCall) -> SafeString | str:
        """Return when the request arrived."""
        return formatting.utc_time(call.created_at)

    @admin.display(description="duration")
    def took(self, call: ApiCall) -> str:
        """Return the processing time."""
        return f"{call.processing_time_ms:.1f} ms"

    @admin.display(description="request id")
    def story(self, call: ApiCall) -> SafeString | str:
        """Return the request id as a link to its story."""
        return formatting.story_link(call.request_id)

    @admin.display(description="story")
    def story_button(self, call: ApiCall) -> SafeString:
        """Return a short link to the story, for the list."""
        return formatting.tool_link(formatting.story_url(call.request_id), "story")

    @admin.display(description="query")
    def shown_query(self, call: ApiCall) -> SafeString | str:
        """Return the query parameters."""
        return formatting.json_block(call.query_params)

    @admin.display(description="body")
    def shown_body(self, call: ApiCall) -> SafeString | str:
        """Return the request body, secrets masked."""
        return formatting.json_block(call.body)

    @admin.display(description="response")
    def shown_response(self, call: ApiCall) -> SafeString | str:
        """Return the response body, secrets masked."""
        return formatting.json_block(call.response_body)

    @admin.display(description="headers")
    def shown_headers(self, call: ApiCall) -> SafeString | str:
        """Return the request headers, credentials masked."""
        return formatting.json_block(call.headers)


@admin.register(AuditEvent)
class AuditEventAdmin(ReadOnlyModelAdmin[AuditEvent]):
    """Audit events, newest first."""

    list_display = ["time", "kind", "subject", "shown_actor", "client_host"]
    list_filter = ["kind", "actor_kind"]
    id_ordered_filters = frozenset({"kind__exact"})
    search_fields = ["request_id__exact"]
    scanned_search_fields = ["subject__exact", "actor__exact", "client_host__exact"]
    search_help_text = "Request id, subject, actor or client (exact)"
    fieldsets = [
        (
            None,
            {
                "fields": [
                    ("time", "kind", "subject"),
                    ("shown_actor", "client_host"),
                    "request_id",
                    "shown_data",
                ]
            },
        )
    ]

    @admin.display(description="at (UTC)")
    def time(self, event: AuditEvent) -> str:
        """Return the time of the event."""
        return formatting.utc_time(event.at)

    @admin.display(description="data")
    def shown_data(self, event: AuditEvent) -> str:
        """Return what the kind of event adds."""
        return formatting.json_block(event.data)
