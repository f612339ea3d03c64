"""Admin of runs, each of which executes a bucket for an alert."""

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
from remediation.engine.waiting_reasons import WaitReasons, open_executions
from remediation.models import ActionExecution, Alert, BucketRun, Transition


@admin.register(BucketRun)
class BucketRunAdmin(OperationAdmin[BucketRun]):
    """Runs, newest first."""

    operations = [Stop(), Cancel(), RetryFromFailed(), RetryFromStart()]
    actions = [list_action(operation) for operation in operations]

    list_display = [
        "short_id",
        "shown_status",
        "short_reason",
        "bucket_link",
        "alert_link",
        "instance",
        "trigger",
        "created",
        "duration",
    ]
    list_filter = ["status", "trigger", "actor_kind"]
    id_ordered_filters = frozenset({"status__exact", "bucket__exact"})
    list_select_related = ["bucket", "alert"]
    search_fields = ["request_id__exact"]
    search_help_text = "Complete request id. To search by host or name, search the alerts"
    fieldsets = [
        (
            None,
            {
                "fields": [
                    ("shown_status", "bucket_link", "version"),
                    ("alert_link", "instance", "severity"),
                    "shown_reason",
                    ("created", "started", "ended", "duration"),
                    ("trigger", "shown_actor", "retry_link", "number", "stop"),
                    "story",
                ]
            },
        ),
    ]

    def list_queryset(self, rows: QuerySet[BucketRun]) -> QuerySet[BucketRun]:
        """Defer the alerts' long columns, which the list does not show."""
        return rows.defer(*(f"alert__{column}" for column in Alert.LONG_COLUMNS))

    def annotate_page(self, rows: Sequence[BucketRun]) -> None:
        """Add to each run the reason why it waits."""
        wait_reasons, steps = WaitReasons(), open_executions(rows)
        for run in rows:
            reason = wait_reasons.reason_of_run(run, steps.get(run.pk, []))
            run.waiting_for = reason  # type: ignore[attr-defined]  # no column

    def notices(self, obj: BucketRun) -> list[Notice]:
        """Return why the run waits, and the inquiries it left open."""
        return run_notices(obj)

    def buttons(self, obj: BucketRun) -> Sequence[str]:
        """Return the run's operations, after "Set outcome" for each unknown execution."""
        unknown = obj.executions.filter(status=ActionExecution.Status.UNKNOWN, parent=None)
        set_outcome = [button(ActionExecution, SetOutcome(), row.pk) for row in unknown]
        return [*set_outcome, *super().buttons(obj)]

    def tools(self, obj: BucketRun) -> list[str]:
        """Return links to the story and the bucket's other runs."""
        return [
            formatting.tool_link(formatting.story_url(obj.request_id), "Story"),
            formatting.tool_link(
                formatting.list_url(BucketRun, bucket=obj.bucket_id), "All runs of this bucket"
            ),
        ]

    def tables(self, obj: BucketRun) -> list[RelatedTable]:
        """Return the executions, and the transitions of the run and of its executions."""
        executions = obj.executions.order_by(*EXECUTION_ORDER)
        # run_id is also set on the run's own transitions.
        moves = Transition.objects.filter(run_id=obj.pk)
        return [
            execution_table(executions, title="Executions", empty="This run has no executions."),
            transition_table(moves),
        ]

    @admin.display(description="run")
    def short_id(self, run: BucketRun) -> str:
        """Return the id alone; bucket and alert have their own columns."""
        return f"#{run.pk}"

    @admin.display(description="status")
    def shown_status(self, run: BucketRun) -> str:
        """Return the status as a badge."""
        return formatting.badge(run.status)

    @admin.display(description="bucket")
    def bucket_link(self, run: BucketRun) -> str:
        """Return a link to the current bucket."""
        return formatting.row_link(run.bucket)

    @admin.display(description="bucket version")
    def version(self, run: BucketRun) -> str:
        """Return a link to the bucket version that the run executes."""
        return format_html(
            '<a href="{}">version {}</a>',
            formatting.change_url(run.plan, run.plan.pk),
            run.plan.number,
        )

    @admin.display(description="alert")
    def alert_link(self, run: BucketRun) -> str:
        """Return a link to the alert."""
        return formatting.row_link(run.alert)

    @admin.display(description="instance")
    def instance(self, run: BucketRun) -> str:
        """Return the alert's instance."""
        return run.alert.instance

    @admin.display(description="severity")
    def severity(self, run: BucketRun) -> str:
        """Return the alert's severity."""
        return run.alert.severity

    @admin.display(description="reason")
    def short_reason(self, run: BucketRun) -> str:
        """Return why the run waits, or the start of its reason."""
        return (
            formatting.shorten(getattr(run, "waiting_for", "") or run.reason, 160)
            or formatting.EMPTY
        )

    @admin.display(description="reason")
    def shown_reason(self, run: BucketRun) -> str:
        """Return the complete reason with its line breaks."""
        return formatting.text_block(run.reason)

    @admin.display(description="created (UTC)")
    def created(self, run: BucketRun) -> str:
        """Return the time when the run was created."""
        return formatting.utc_time(run.created_at)

    @admin.display(description="started (UTC)")
    def started(self, run: BucketRun) -> str:
        """Return the time when a worker claimed the first execution."""
        return formatting.utc_time(run.started_at)

    @admin.display(description="ended (UTC)")
    def ended(self, run: BucketRun) -> str:
        """Return the time when the run ended."""
        return formatting.utc_time(run.completed_at)

    @admin.display(description="duration")
    def duration(self, run: BucketRun) -> str:
        """Return the time from start to end."""
        return formatting.duration(run.started_at, run.completed_at) or formatting.EMPTY

    @admin.display(description="retry of")
    def retry_link(self, run: BucketRun) -> str:
        """Return a link to the run that this one retries."""
        return formatting.row_link(run.retry_of)

    @admin.display(description="request id")
    def story(self, run: BucketRun) -> str:
        """Return a link to the story of the request that opened the alert."""
        return formatting.story_link(run.request_id)
