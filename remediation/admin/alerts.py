"""Alerts: what fires, what ran for it, and why nothing did."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.html import format_html, format_html_join

from remediation.admin import formatting
from remediation.admin.alert_operations import MatchAgain, RunByHand
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
    """Alerts by whether something ran for them."""

    title = "remediation"
    parameter_name = "remediation"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Return the two answers."""
        return [("ran", "something ran"), ("nothing", "nothing ran")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Alert]) -> QuerySet[Alert]:
        """Read the answer from the alert's reason, which is empty when something ran."""
        if self.value() == "ran":
            return queryset.filter(reason="")
        return queryset.exclude(reason="") if self.value() == "nothing" else queryset


@admin.register(Alert)
class AlertAdmin(OperationAdmin[Alert]):
    """Episodes, newest first."""

    operations = [MatchAgain(), RunByHand()]
    actions = [list_action(operations[0])]

    list_display = [
        "__str__",
        "shown_status",
        "severity",
        "instance",
        "outcome",
        "began",
        "times_seen",
    ]
    list_filter = ["status", RemediationFilter]
    id_ordered_filters = frozenset({"status__exact", "fingerprint__exact"})
    search_fields = [
        "request_id__exact",
        "fingerprint__exact",
        "alert_name__begins",
        "instance__begins",
    ]
    search_help_text = (
        "The begin of an alert name or an instance, or a whole fingerprint or request id"
    )
    fieldsets = [
        (
            None,
            {
                "fields": [
                    ("shown_status", "severity", "instance"),
                    "whole_reason",
                    ("began", "ended", "seen", "occurrences"),
                    ("shown_annotations", "shown_labels"),
                    "shown_values",
                ]
            },
        ),
        (
            "Where it came from",
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
        """Read the runs of a page at once; leave out the long columns that a list does not show."""
        return rows.defer(*Alert.LONG_COLUMNS).prefetch_related("runs__bucket")

    def tools(self, obj: Alert) -> list[str]:
        """Return the story, the runbook and the other episodes."""
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
        """Return what ran, down to each attempt, and the changes of the alert itself."""
        runs = obj.runs.select_related("bucket").order_by("pk")
        executions = obj.executions.order_by("run_id", *EXECUTION_ORDER)
        return [
            run_table(runs, empty=obj.reason or "No run was made for this alert."),
            execution_table(executions, title="Executions", empty="Nothing was executed."),
            transition_table(Transition.objects.filter(subject_type="alert", subject_id=obj.pk)),
        ]

    @admin.display(description="status")
    def shown_status(self, alert: Alert) -> str:
        """Return the status as a badge."""
        return formatting.badge(alert.status)

    @admin.display(description="what ran, or why nothing did")
    def outcome(self, alert: Alert) -> str:
        """Return each run's status and bucket, and the reason if there is one."""
        links = (
            (formatting.change_url(run, run.pk), formatting.badge(run.status), run.bucket.name)
            for run in alert.runs.all()
        )
        runs = format_html_join(" ", '<a class="run" href="{}">{} {}</a>', links)
        return format_html("{} {}", runs, formatting.shorten(alert.reason, 160))

    @admin.display(description="outcome")
    def whole_reason(self, alert: Alert) -> str:
        """Return the whole reason."""
        return alert.reason or "Something ran: see the runs below."

    @admin.display(description="began (UTC)")
    def began(self, alert: Alert) -> str:
        """Return when the episode began, as Alertmanager says."""
        return formatting.utc_time(alert.starts_at)

    @admin.display(description="ended (UTC)")
    def ended(self, alert: Alert) -> str:
        """Return when the episode ended."""
        return formatting.utc_time(alert.ends_at)

    @admin.display(description="seen")
    def times_seen(self, alert: Alert) -> str:
        """Return how often it was delivered as firing."""
        return f"{alert.occurrences}×"  # noqa: RUF001 - a multiplication sign is meant

    @admin.display(description="last seen (UTC)")
    def seen(self, alert: Alert) -> str:
        """Return when Alertmanager last told of it."""
        return formatting.utc_time(alert.last_seen_at)

    @admin.display(description="labels")
    def shown_labels(self, alert: Alert) -> str:
        """Return the labels as a table."""
        return formatting.label_table(alert.labels)

    @admin.display(description="annotations")
    def shown_annotations(self, alert: Alert) -> str:
        """Return the annotations as a table, with links where they are safe."""
        return formatting.label_table(alert.annotations)

    @admin.display(description="values (Grafana)")
    def shown_values(self, alert: Alert) -> str:
        """Return the values of the alert's expressions as a table."""
        return formatting.label_table(alert.values)

    @admin.display(description="Alertmanager")
    def alertmanager(self, alert: Alert) -> str:
        """Return the link to the Alertmanager that sent the alert, if it is safe."""
        return formatting.external_link(alert.external_url)

    @admin.display(description="request id")
    def story(self, alert: Alert) -> str:
        """Return the link to the story of the call that opened the episode."""
        return formatting.story_link(alert.request_id)

    @admin.display(description="generator URL")
    def generator(self, alert: Alert) -> str:
        """Return the link to the rule that fires, if it is safe."""
        return formatting.external_link(alert.generator_url)

    @admin.display(description="first delivery")
    def shown_raw_data(self, alert: Alert) -> str:
        """Return the alert as it first came in."""
        return formatting.json_block(alert.raw_data)
