"""Runs: one bucket carried out for one alert, step by step."""

from __future__ import annotations

from collections.abc import Sequence

from django.contrib import admin
from django.db.models import QuerySet
from django.utils.html import format_html

from remediation.admin import formatting
from remediation.admin.notices import Notice, run_notices
from remediation.admin.operations import OperationAdmin, button, list_action
from remediation.admin.related_tables import (
    EXECUTION_ORDER,
    RelatedTable,
    execution_table,
    transition_table,
)
from remediation.admin.run_operations import Cancel, RetryFromFailed, RetryFromStart, Stop
from remediation.admin.set_outcome import SetOutcome
from remediation.engine.waiting import Holds, open_executions
from remediation.models import ActionExecution, Alert, BucketRun, Transition


@admin.register(BucketRun)
class BucketRunAdmin(OperationAdmin[BucketRun]):
    """Runs, newest first."""

    operations = [Stop(), Cancel(), RetryFromFailed(), RetryFromStart()]
    actions = [list_action(operation) for operation in operations]

    list_display = [
        "short_id",
        "shown_status",
        "bucket_link",
        "alert_link",
        "instance",
        "trigger",
        "made",
        "took",
        "short_reason",
    ]
    list_filter = ["status", "trigger"]
    id_ordered_filters = frozenset({"status__exact", "bucket__exact"})
    list_select_related = ["bucket", "alert"]
    search_fields = ["request_id__exact"]
    search_help_text = "A whole request id; to search by host or name, begin with the alerts"
    fieldsets = [
        (
            None,
            {
                "fields": [
                    ("shown_status", "bucket_link", "version"),
                    ("alert_link", "instance", "severity"),
                    "shown_reason",
                    ("made", "begun", "ended", "took"),
                    ("trigger", "actor", "retry_link", "number", "stop"),
                    "story",
                ]
            },
        ),
    ]

    def list_queryset(self, rows: QuerySet[BucketRun]) -> QuerySet[BucketRun]:
        """Leave out the alerts' long columns."""
        return rows.defer(*(f"alert__{column}" for column in Alert.LONG_COLUMNS))

    def annotate_page(self, rows: Sequence[BucketRun]) -> None:
        """Add why each run waits."""
        holds, steps = Holds(), open_executions(rows)
        for run in rows:
            reason = holds.reason_of_run(run, steps.get(run.pk, []))
            run.waiting_for = reason  # type: ignore[attr-defined]

    def notices(self, obj: BucketRun) -> list[Notice]:
        """Return why the run has not ended."""
        return run_notices(obj)

    def buttons(self, obj: BucketRun) -> Sequence[str]:
        """Return the verbs, and what an unknown run waits for before them."""
        set_outcome = SetOutcome()
        unknown = obj.executions.filter(status=ActionExecution.Status.UNKNOWN, parent=None)
        outcomes = [button(ActionExecution, set_outcome, row.pk) for row in unknown]
        return [*outcomes, *super().buttons(obj)]

    def tools(self, obj: BucketRun) -> list[str]:
        """Return the story and the other runs of the bucket."""
        return [
            formatting.tool_link(formatting.story_url(obj.request_id), "Story"),
            formatting.tool_link(
                formatting.list_url(BucketRun, bucket=obj.bucket_id), "All runs of this bucket"
            ),
        ]

    def tables(self, obj: BucketRun) -> list[RelatedTable]:
        """Return the executions in their order, and every change of the run and of them."""
        executions = obj.executions.order_by(*EXECUTION_ORDER)
        # The run's own rows carry its id, too.
        moves = Transition.objects.filter(run_id=obj.pk)
        return [
            execution_table(executions, title="Executions", empty="Nothing was executed."),
            transition_table(moves),
        ]

    @admin.display(description="run")
    def short_id(self, run: BucketRun) -> str:
        """Return the short name; bucket and alert have columns of their own."""
        return f"#{run.pk}"

    @admin.display(description="status")
    def shown_status(self, run: BucketRun) -> str:
        """Return the status as a badge."""
        return formatting.badge(run.status)

    @admin.display(description="bucket")
    def bucket_link(self, run: BucketRun) -> str:
        """Return the link to the bucket as it is now."""
        return formatting.row_link(run.bucket)

    @admin.display(description="as it was")
    def version(self, run: BucketRun) -> str:
        """Return the link to the definition that the run carries out."""
        return format_html(
            '<a href="{}">version {}</a>',
            formatting.change_url(run.plan, run.plan.pk),
            run.plan.number,
        )

    @admin.display(description="alert")
    def alert_link(self, run: BucketRun) -> str:
        """Return the link to the alert."""
        return formatting.row_link(run.alert)

    @admin.display(description="instance")
    def instance(self, run: BucketRun) -> str:
        """Return the host that the alert names."""
        return run.alert.instance

    @admin.display(description="severity")
    def severity(self, run: BucketRun) -> str:
        """Return how bad the alert is."""
        return run.alert.severity

    @admin.display(description="reason")
    def short_reason(self, run: BucketRun) -> str:
        """Return why it waits, or the reason, cut for the list."""
        return (
            formatting.shorten(getattr(run, "waiting_for", "") or run.reason, 160)
            or formatting.EMPTY
        )

    @admin.display(description="reason")
    def shown_reason(self, run: BucketRun) -> str:
        """Return the whole reason, with its lines."""
        return formatting.text_block(run.reason)

    @admin.display(description="made (UTC)")
    def made(self, run: BucketRun) -> str:
        """Return when the run was made."""
        return formatting.utc_time(run.created_at)

    @admin.display(description="began (UTC)")
    def begun(self, run: BucketRun) -> str:
        """Return when its first execution was claimed."""
        return formatting.utc_time(run.started_at)

    @admin.display(description="ended (UTC)")
    def ended(self, run: BucketRun) -> str:
        """Return when it ended."""
        return formatting.utc_time(run.completed_at)

    @admin.display(description="took")
    def took(self, run: BucketRun) -> str:
        """Return how long it took from its begin."""
        return formatting.duration(run.started_at, run.completed_at) or formatting.EMPTY

    @admin.display(description="retry of")
    def retry_link(self, run: BucketRun) -> str:
        """Return the link to the run that this one repeats."""
        return formatting.row_link(run.retry_of)

    @admin.display(description="request id")
    def story(self, run: BucketRun) -> str:
        """Return the link to the story of the call that opened the alert."""
        return formatting.story_link(run.request_id)
