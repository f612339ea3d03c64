"""Admin of alerts: their runs, or the reason why nothing ran."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.html import format_html, format_html_join

from remediation.admin import formatting
from remediation.admin.alert_operations import MatchAgain, RunBucket
from remediation.admin.operations import OperationAdmin, list_action
from remediation.admin.related_tables import (
    EXECUTION_ORDER,
    RelatedTable,
    execution_table,
    run_table,
    transition_table,
)
from remediation.models import Alert, Transition


class RemediationFilter(admin.SimpleListFilter):
    """Filter alerts by whether a run was created for them."""

    title = "remediation"
    parameter_name = "remediation"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Return the choices."""
        return [("ran", "Has runs"), ("nothing", "Has no runs")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Alert]) -> QuerySet[Alert]:
        """Filter by the alert's reason, which is empty if it has a run."""
        if self.value() == "ran":
            return queryset.filter(reason="")
        return queryset.exclude(reason="") if self.value() == "nothing" else queryset


@admin.register(Alert)
class AlertAdmin(OperationAdmin[Alert]):
    """Alerts (one row per episode), newest first."""

    operations = [MatchAgain(), RunBucket()]
    actions = [list_action(operations[0])]

    list_display = [
        "__str__",
        "shown_status",
        "severity",
        "instance",
        "outcome",
        "started",
        "shown_occurrences",
    ]
    list_filter = ["status", RemediationFilter]
    id_ordered_filters = frozenset({"status__exact", "fingerprint__exact"})
    search_fields = [
        "request_id__exact",
        "fingerprint__exact",
        "alert_name__begins",
        "instance__begins",
    ]
    search_help_text = "Start of an alert name or instance, or a complete fingerprint or request id"
    fieldsets = [
        (
            None,
            {
                "fields": [
                    ("shown_status", "severity", "instance"),
                    "full_reason",
                    ("started", "ended", "last_seen", "occurrences"),
                    ("shown_annotations", "shown_labels"),
                    "shown_values",
                ]
            },
        ),
        (
            "Source",
            {
                "fields": [
                    ("receiver", "fingerprint", "story"),
                    "group_key",
                    ("generator", "alertmanager"),
                    "shown_raw_data",
                ]
            },
        ),
    ]

    def list_queryset(self, rows: QuerySet[Alert]) -> QuerySet[Alert]:
        """Prefetch the runs and defer the long columns, which the list does not show."""
        return rows.defer(*Alert.LONG_COLUMNS).prefetch_related("runs__bucket")

    def tools(self, obj: Alert) -> list[str]:
        """Return links to the story, the alert's other episodes and its runbook."""
        episodes = formatting.list_url(Alert, fingerprint=obj.fingerprint)
        links: list[str] = [
            formatting.tool_link(formatting.story_url(obj.request_id), "Story"),
            formatting.tool_link(episodes, "All episodes of this fingerprint"),
        ]
        runbook = str(obj.annotations.get("runbook_url", ""))
        if formatting.is_http_url(runbook):
            links.append(formatting.external_link(runbook, "Runbook"))
        return links

    def tables(self, obj: Alert) -> list[RelatedTable]:
        """Return the runs, their executions and the alert's own transitions."""
        runs = obj.runs.select_related("bucket").order_by("pk")
        executions = obj.executions.order_by("run_id", *EXECUTION_ORDER)
        return [
            run_table(runs, empty=obj.reason or "This alert has no runs."),
            execution_table(executions, title="Executions", empty="This alert has no executions."),
            transition_table(Transition.objects.filter(subject_type="alert", subject_id=obj.pk)),
        ]

    @admin.display(description="status")
    def shown_status(self, alert: Alert) -> str:
        """Return the status as a badge."""
        return formatting.badge(alert.status)

    @admin.display(description="runs or reason")
    def outcome(self, alert: Alert) -> str:
        """Return each run's status and bucket, followed by the reason, if any."""
        links = (
            (formatting.change_url(run, run.pk), formatting.badge(run.status), run.bucket.name)
            for run in alert.runs.all()
        )
        runs = format_html_join(" ", '<a class="run" href="{}">{} {}</a>', links)
        return format_html("{} {}", runs, formatting.shorten(alert.reason, 160))

    @admin.display(description="outcome")
    def full_reason(self, alert: Alert) -> str:
        """Return the complete reason."""
        return alert.reason or "This alert has runs; see below."

    @admin.display(description="started (UTC)")
    def started(self, alert: Alert) -> str:
        """Return Alertmanager's start time of the episode."""
        return formatting.utc_time(alert.starts_at)

    @admin.display(description="ended (UTC)")
    def ended(self, alert: Alert) -> str:
        """Return Alertmanager's end time of the episode."""
        return formatting.utc_time(alert.ends_at)

    @admin.display(description="occurrences")
    def shown_occurrences(self, alert: Alert) -> str:
        """Return the number of deliveries in which the alert was firing."""
        return f"{alert.occurrences}×"  # noqa: RUF001 - a multiplication sign is meant

    @admin.display(description="last seen (UTC)")
    def last_seen(self, alert: Alert) -> str:
        """Return the time of the last delivery."""
        return formatting.utc_time(alert.last_seen_at)

    @admin.display(description="labels")
    def shown_labels(self, alert: Alert) -> str:
        """Return the labels as a table."""
        return formatting.label_table(alert.labels)

    @admin.display(description="annotations")
    def shown_annotations(self, alert: Alert) -> str:
        """Return the annotations as a table; http and https URLs become links."""
        return formatting.label_table(alert.annotations)

    @admin.display(description="values (Grafana)")
    def shown_values(self, alert: Alert) -> str:
        """Return the values of the alert's expressions, which Grafana sends, as a table."""
        return formatting.label_table(alert.values)

    @admin.display(description="Alertmanager")
    def alertmanager(self, alert: Alert) -> str:
        """Return the URL of the Alertmanager that sent the alert, linked if http or https."""
        return formatting.external_link(alert.external_url)

    @admin.display(description="request id")
    def story(self, alert: Alert) -> str:
        """Return a link to the story of the request that opened the episode."""
        return formatting.story_link(alert.request_id)

    @admin.display(description="generator URL")
    def generator(self, alert: Alert) -> str:
        """Return the URL of the alerting rule, linked if http or https."""
        return formatting.external_link(alert.generator_url)

    @admin.display(description="first delivery")
    def shown_raw_data(self, alert: Alert) -> str:
        """Return the alert's JSON from the first delivery of the episode."""
        return formatting.json_block(alert.raw_data)
