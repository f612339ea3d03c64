"""Tables of related rows below a history page: from an alert down to its last attempt and back."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from django.db import models
from django.utils.html import format_html

from remediation.admin import cells
from remediation.engine.waiting import Holds
from remediation.models import ActionExecution, Alert, BucketRun, Rerun, Transition

TRANSITIONS_MAX = 200  # rows; the story page has them all
# A workflow (0) before its tasks, then step by step and attempt by attempt.
EXECUTION_ORDER = ("step_order", "attempt")
SUBJECTS: dict[str, type[models.Model]] = {
    subject.SUBJECT_TYPE: subject for subject in (Alert, BucketRun, ActionExecution)
}


@dataclass(frozen=True, slots=True)
class Table:
    """Cells in rows under a title; ``empty`` is said when there are none."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[object]]
    empty: str


def run_table(runs: Iterable[BucketRun], *, empty: str) -> Table:
    """Return runs with their buckets; the caller has joined the buckets."""
    rows = [
        (
            cells.row_link(run),
            cells.badge(run.status),
            run.trigger,
            run.actor,
            cells.moment(run.created_at),
            cells.duration(run.started_at, run.completed_at),
            run.reason,
        )
        for run in runs
    ]
    columns = ["Run", "Status", "Trigger", "By", "Made (UTC)", "Took", "Reason"]
    return Table("Runs", columns, rows, empty)


def execution_table(executions: Iterable[ActionExecution], *, title: str, empty: str) -> Table:
    """Return executions in the order given, those that wait with the reason."""
    holds = Holds()
    rows = [
        (
            step_cell(execution),
            cells.row_link(execution),
            cells.badge(execution.status),
            cells.shorten_json(execution.parameters),
            stackstorm_cell(execution),
            cells.shorten(holds.reason(execution) or execution.error_message, 160),
            cells.moment(execution.started_at),
            cells.duration(execution.started_at, execution.completed_at),
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
        "Took",
    ]
    return Table(title, columns, rows, empty)


def rerun_table(reruns: Iterable[Rerun]) -> Table:
    """Return what people ran again in StackStorm; PoundCake follows none of it."""
    rows = [
        (
            cells.outside_link(rerun.st2_web_url, rerun.st2_execution_id),
            rerun.st2_status,
            rerun.st2_user,
            cells.moment(rerun.started_at),
            rerun.rerun_of,
        )
        for rerun in reruns
    ]
    columns = ["Execution in StackStorm", "Status", "By", "Started (UTC)", "Re-run of"]
    return Table("Re-runs in StackStorm (not followed)", columns, rows, "")


def transition_table(transitions: models.QuerySet[Transition]) -> Table:
    """Return the newest of the changes of state, in the order in which they happened."""
    newest = list(transitions.order_by("-pk")[:TRANSITIONS_MAX])
    rows = [
        (
            cells.moment(transition.at),
            subject_link(transition),
            move_cell(transition),
            transition.actor,
            transition.reason,
            cells.story_link(transition.cause_request_id),
        )
        for transition in reversed(newest)
    ]
    columns = ["At (UTC)", "What", "Change", "By", "Reason", "Inbound call"]
    return Table("Transitions", columns, rows, "No change of state is on record.")


def step_cell(execution: ActionExecution) -> str:
    """Return the place in the run; a workflow's task is not a step of its own."""
    if execution.parent_id:
        return f"↳ task {execution.step_order}"
    place = str(execution.step_order or "workflow")
    return place if execution.attempt == 1 else f"{place}, attempt {execution.attempt}"


def stackstorm_cell(execution: ActionExecution) -> str:
    """Return StackStorm's id and its own word for the status, linked to its web page."""
    if not execution.st2_execution_id:
        return cells.EMPTY if execution.executed_via_stackstorm else "local"
    return format_html(
        '<span class="mono">{}</span><br>{}',
        cells.outside_link(execution.st2_web_url, execution.st2_execution_id),
        execution.st2_action_execution_status,
    )


def subject_link(transition: Transition) -> str:
    """Return a link to the row that changed."""
    return format_html(
        '<a href="{}">{} #{}</a>',
        cells.change_url(SUBJECTS[transition.subject_type], transition.subject_id),
        transition.subject_type,
        transition.subject_id,
    )


def move_cell(transition: Transition) -> str:
    """Return the change as: from → to."""
    return format_html(
        '<span class="move">{} → {}</span>',
        transition.from_status or "new",
        cells.badge(transition.to_status),
    )
