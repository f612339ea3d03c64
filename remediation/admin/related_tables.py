"""Tables of related rows on a history page: runs, executions, re-runs and transitions."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from django.db import models
from django.utils.html import format_html

from remediation.admin import formatting
from remediation.engine.waiting_reasons import WaitReasons
from remediation.models import ActionExecution, Alert, BucketRun, Rerun, Transition

TRANSITIONS_MAX = 200  # rows; the story page shows all
# A workflow (0) before its tasks, then step by step and attempt by attempt.
EXECUTION_ORDER = ("step_order", "attempt")
SUBJECTS: dict[str, type[models.Model]] = {
    subject.SUBJECT_TYPE: subject for subject in (Alert, BucketRun, ActionExecution)
}


@dataclass(frozen=True, slots=True)
class RelatedTable:
    """A titled table; ``empty`` is the text for a table without rows."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[object]]
    empty: str


def run_table(runs: Iterable[BucketRun], *, empty: str) -> RelatedTable:
    """Return a table of runs. The caller selects their buckets with select_related()."""
    rows = [
        (
            formatting.row_link(run),
            formatting.badge(run.status),
            run.trigger,
            formatting.actor(run.actor, run.actor_kind),
            formatting.utc_time(run.created_at),
            formatting.duration(run.started_at, run.completed_at),
            run.reason,
        )
        for run in runs
    ]
    columns = ["Run", "Status", "Trigger", "Actor", "Created (UTC)", "Duration", "Reason"]
    return RelatedTable("Runs", columns, rows, empty)


def execution_table(
    executions: Iterable[ActionExecution], *, title: str, empty: str
) -> RelatedTable:
    """Return a table of executions in the given order, with the reason why each waits."""
    wait_reasons = WaitReasons()
    rows = [
        (
            step_cell(execution),
            formatting.row_link(execution),
            formatting.badge(execution.status),
            formatting.shorten_json(execution.parameters),
            stackstorm_cell(execution),
            formatting.shorten(wait_reasons.reason(execution) or execution.error_message, 160),
            formatting.utc_time(execution.started_at),
            formatting.duration(execution.started_at, execution.completed_at),
        )
        for execution in executions
    ]
    columns = [
        "Step",
        "Execution",
        "Status",
        "Parameters",
        "StackStorm",
        "Error",
        "Started (UTC)",
        "Duration",
    ]
    return RelatedTable(title, columns, rows, empty)


def rerun_table(reruns: Iterable[Rerun]) -> RelatedTable:
    """Return a table of re-runs that users started in StackStorm; PoundCake ignores them."""
    rows = [
        (
            formatting.external_link(rerun.st2_web_url, rerun.st2_execution_id),
            rerun.st2_status,
            rerun.st2_user,
            formatting.utc_time(rerun.started_at),
            rerun.rerun_of,
        )
        for rerun in reruns
    ]
    columns = ["Execution in StackStorm", "Status", "User", "Started (UTC)", "Re-run of"]
    return RelatedTable("Re-runs in StackStorm (not followed)", columns, rows, "")


def transition_table(transitions: models.QuerySet[Transition]) -> RelatedTable:
    """Return a table of the newest transitions, oldest first."""
    newest = list(transitions.order_by("-pk")[:TRANSITIONS_MAX])
    rows = [
        (
            formatting.utc_time(transition.at),
            subject_link(transition),
            move_cell(transition),
            formatting.actor(transition.actor, transition.actor_kind),
            transition.reason,
            formatting.story_link(transition.cause_request_id),
        )
        for transition in reversed(newest)
    ]
    columns = ["Time (UTC)", "Object", "Change", "Actor", "Reason", "Request"]
    return RelatedTable("Transitions", columns, rows, "No transitions recorded.")


def step_cell(execution: ActionExecution) -> str:
    """Return the step number and the attempt; tasks of a workflow are marked as such."""
    if execution.parent_id:
        return f"↳ task {execution.step_order}"
    step = str(execution.step_order or "workflow")
    return step if execution.attempt == 1 else f"{step}, attempt {execution.attempt}"


def stackstorm_cell(execution: ActionExecution) -> str:
    """Return StackStorm's id, linked to its web page, and StackStorm's status."""
    if not execution.st2_execution_id:
        return formatting.EMPTY if execution.executed_via_stackstorm else "local"
    return format_html(
        '<span class="mono">{}</span><br>{}',
        formatting.external_link(execution.st2_web_url, execution.st2_execution_id),
        execution.st2_action_execution_status,
    )


def subject_link(transition: Transition) -> str:
    """Return a link to the alert, run or execution that changed."""
    return format_html(
        '<a href="{}">{} #{}</a>',
        formatting.change_url(SUBJECTS[transition.subject_type], transition.subject_id),
        transition.subject_type,
        transition.subject_id,
    )


def move_cell(transition: Transition) -> str:
    """Return the change as "from → to"."""
    return format_html(
        '<span class="move">{} → {}</span>',
        transition.from_status or "new",
        formatting.badge(transition.to_status),
    )
