"""Admin of executions: the parameters, StackStorm's status and the result of one attempt."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.utils.html import format_html, format_html_join

from remediation.admin import formatting
from remediation.admin.notices import Notice, execution_notices
from remediation.admin.operations import OperationAdmin
from remediation.admin.related_tables import (
    EXECUTION_ORDER,
    RelatedTable,
    execution_table,
    rerun_table,
    stackstorm_cell,
    step_cell,
    transition_table,
)
from remediation.admin.set_outcome import SetOutcome
from remediation.engine.waiting_reasons import WaitReasons
from remediation.models import ActionExecution, Alert, Transition

OUTPUT_NAMES = ("stdout", "stderr", "traceback")


@admin.register(ActionExecution)
class ActionExecutionAdmin(OperationAdmin[ActionExecution]):
    """Executions, newest first."""

    operations = [SetOutcome()]

    list_display = [
        "__str__",
        "shown_status",
        "short_error",
        "bucket_link",
        "alert_link",
        "step",
        "stackstorm",
        "started",
        "duration",
    ]
    list_filter = ["status", "executed_via_stackstorm"]
    time_ordered_filters = frozenset({"status__exact"})
    list_select_related = ["bucket", "alert", "run"]
    search_fields = ["request_id__exact", "st2_execution_id__exact", "trace_tag__exact"]
    search_help_text = "Complete request id, StackStorm execution id or trace tag"
    fieldsets = [
        (
            None,
            {
                "fields": [
                    ("shown_status", "step", "action_link"),
                    "shown_error",
                    ("run_link", "alert_link", "bucket_link", "parent_link"),
                    ("created", "started", "ended", "duration"),
                    "shown_parameters",
                    "output",
                    "shown_result",
                ]
            },
        ),
        (
            "StackStorm",
            {
                "fields": [
                    ("stackstorm", "liveaction_id"),
                    ("running_since", "due"),
                    "trace",
                    "story",
                ]
            },
        ),
    ]

    def list_queryset(self, rows: QuerySet[ActionExecution]) -> QuerySet[ActionExecution]:
        """Defer the long columns, which the list does not show."""
        return rows.defer(
            "parameters",
            "st2_result",
            *(f"alert__{column}" for column in Alert.LONG_COLUMNS),
            "bucket__st2_workflow_params",
        )

    def annotate_page(self, rows: Sequence[ActionExecution]) -> None:
        """Add to each execution the reason why it waits."""
        wait_reasons = WaitReasons()
        for row in rows:
            row.waiting_for = wait_reasons.reason(row)  # type: ignore[attr-defined]  # no column

    def notices(self, obj: ActionExecution) -> list[Notice]:
        """Return why the execution waits, and anything unusual about its launch."""
        return execution_notices(obj)

    def tools(self, obj: ActionExecution) -> list[str]:
        """Return links to the run, the story and StackStorm's page."""
        links: list[str] = [
            formatting.tool_link(formatting.change_url(obj.run, obj.run_id), "Run"),
            formatting.tool_link(formatting.story_url(obj.request_id), "Story"),
        ]
        if formatting.is_http_url(obj.st2_web_url):
            links.append(formatting.external_link(obj.st2_web_url, "StackStorm"))
        return links

    def tables(self, obj: ActionExecution) -> list[RelatedTable]:
        """Return the tasks of a workflow, the other attempts, the re-runs and the transitions."""
        tables = []
        if obj.step_order == 0:
            tasks = obj.tasks.order_by(*EXECUTION_ORDER)
            tables.append(
                execution_table(tasks, title="Tasks", empty="StackStorm has reported no tasks yet.")
            )
        attempts = ActionExecution.objects.filter(run=obj.run_id, step_order=obj.step_order)
        others = list(attempts.exclude(pk=obj.pk).order_by("attempt"))
        if others:
            tables.append(execution_table(others, title="Other attempts", empty=""))
        if reruns := list(obj.reruns.all()):
            tables.append(rerun_table(reruns))
        moves = Transition.objects.filter(subject_type="execution", subject_id=obj.pk)
        return [*tables, transition_table(moves)]

    @admin.display(description="status")
    def shown_status(self, execution: ActionExecution) -> str:
        """Return the status as a badge."""
        return formatting.badge(execution.status)

    @admin.display(description="step")
    def step(self, execution: ActionExecution) -> str:
        """Return the step number and the attempt."""
        return step_cell(execution)

    @admin.display(description="StackStorm")
    def stackstorm(self, execution: ActionExecution) -> str:
        """Return StackStorm's id and status."""
        return stackstorm_cell(execution)

    @admin.display(description="StackStorm liveaction id")
    def liveaction_id(self, execution: ActionExecution) -> str:
        """Return StackStorm's internal id of the execution."""
        return execution.st2_liveaction_id or formatting.EMPTY

    @admin.display(description="action")
    def action_link(self, execution: ActionExecution) -> str:
        """Return a link to the action; a workflow task may have no action in PoundCake."""
        return formatting.row_link(execution.action)

    @admin.display(description="run")
    def run_link(self, execution: ActionExecution) -> str:
        """Return a link to the run."""
        return format_html(
            '<a href="{}">#{}</a>',
            formatting.change_url(execution.run, execution.run_id),
            execution.run_id,
        )

    @admin.display(description="alert")
    def alert_link(self, execution: ActionExecution) -> str:
        """Return a link to the alert."""
        return formatting.row_link(execution.alert)

    @admin.display(description="bucket")
    def bucket_link(self, execution: ActionExecution) -> str:
        """Return a link to the current bucket."""
        return formatting.row_link(execution.bucket)

    @admin.display(description="workflow")
    def parent_link(self, execution: ActionExecution) -> str:
        """Return a link to the workflow execution that the task belongs to."""
        return formatting.row_link(execution.parent)

    @admin.display(description="error")
    def short_error(self, execution: ActionExecution) -> str:
        """Return why the execution waits, or the first line of its error."""
        waiting_for = getattr(execution, "waiting_for", "")
        return formatting.shorten(waiting_for or execution.error_message, 160) or formatting.EMPTY

    @admin.display(description="error")
    def shown_error(self, execution: ActionExecution) -> str:
        """Return the complete error, or why the step was skipped."""
        return formatting.text_block(execution.error_message)

    @admin.display(description="created (UTC)")
    def created(self, execution: ActionExecution) -> str:
        """Return the time when the row was created."""
        return formatting.utc_time(execution.created_at)

    @admin.display(description="started (UTC)")
    def started(self, execution: ActionExecution) -> str:
        """Return the time when a worker claimed the execution."""
        return formatting.utc_time(execution.started_at)

    @admin.display(description="running in StackStorm since (UTC)")
    def running_since(self, execution: ActionExecution) -> str:
        """Return the time when StackStorm first reported it as running."""
        return formatting.utc_time(execution.running_at)

    @admin.display(description="ended (UTC)")
    def ended(self, execution: ActionExecution) -> str:
        """Return the time when the outcome was recorded."""
        return formatting.utc_time(execution.completed_at)

    @admin.display(description="next check (UTC)")
    def due(self, execution: ActionExecution) -> str:
        """Return the time when a worker next processes the execution."""
        return formatting.utc_time(execution.due_at)

    @admin.display(description="duration")
    def duration(self, execution: ActionExecution) -> str:
        """Return the time from claim to outcome."""
        return formatting.duration(execution.started_at, execution.completed_at) or formatting.EMPTY

    @admin.display(description="parameters sent")
    def shown_parameters(self, execution: ActionExecution) -> str:
        """Return the rendered parameters with secrets masked."""
        return formatting.json_block(execution.parameters)

    @admin.display(description="output")
    def output(self, execution: ActionExecution) -> str:
        """Return the output of commands with its line breaks."""
        blocks = output_blocks(execution.st2_result)
        return format_html_join("", "<p>{}</p>{}", blocks) or formatting.EMPTY

    @admin.display(description="result")
    def shown_result(self, execution: ActionExecution) -> str:
        """Return the complete result; its structure depends on the StackStorm runner."""
        return formatting.json_block(execution.st2_result)

    @admin.display(description="trace tag")
    def trace(self, execution: ActionExecution) -> str:
        """Return the trace tag, which identifies this attempt in StackStorm."""
        return format_html('<span class="mono">{}</span>', execution.trace_tag or formatting.EMPTY)

    @admin.display(description="request id")
    def story(self, execution: ActionExecution) -> str:
        """Return a link to the story of the request that opened the alert."""
        return formatting.story_link(execution.request_id)


def output_blocks(result: Any) -> list[tuple[str, str]]:
    """Return (name, HTML block) for each output in a result.

    ``core.local`` has stdout at the top level, ``core.remote`` one level down, by host name.
    """
    found = []
    if isinstance(result, dict):
        hosts = [(f"{name}: ", part) for name, part in result.items() if isinstance(part, dict)]
        for prefix, part in [("", result), *hosts]:
            found += [
                (f"{prefix}{name}", formatting.text_block(part[name]))
                for name in OUTPUT_NAMES
                if isinstance(part.get(name), str) and part[name].strip()
            ]
    return found
