"""Notices on the pages of runs and executions: why they wait, and what the operator must do."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from django.utils.html import format_html, format_html_join

from remediation import clock
from remediation.admin import formatting
from remediation.admin.inquiries import (
    INQUIRY_STAYS_OPEN,
    is_inquiry,
    left_open_lines,
    open_inquiry_lines,
)
from remediation.engine import outage
from remediation.engine.guards import cooldown
from remediation.models import ActionExecution, BucketRun, Pause

Status = ActionExecution.Status
CANCELED_IS_NOT_STOPPED = (
    "Canceled in StackStorm does not mean that the command stopped: processes on the host may still"
    " run. Check the host."
)
STACKSTORM_QUEUES = ("requested", "scheduled", "delayed")


@dataclass(frozen=True, slots=True)
class Notice:
    """A box at the top of a row's page. ``is_urgent``: the row waits for an operator."""

    title: str
    lines: tuple[str, ...]
    is_urgent: bool = False


def run_notices(run: BucketRun) -> list[Notice]:
    """Return why an open run waits, and which inquiries it left open."""
    rows = run.executions.filter(parent=None).select_related("run", "alert", "action")
    rows = rows.defer("parameters", "st2_result").order_by("pk")
    found = []
    if run.status not in BucketRun.FINAL:
        in_flight = [row for row in rows if row.status not in ActionExecution.FINAL]
        found += [_stop_notice(run, in_flight)] if run.stop else []
        for row in in_flight:
            found += _status_notices(row)
    return found + _left_open_notices(rows)


def execution_notices(row: ActionExecution) -> list[Notice]:
    """Return why an execution waits, which inquiries it left open, and how its launch went."""
    found = []
    if row.parent_id is None and row.status not in ActionExecution.FINAL:
        if row.run.stop and row.run.status in BucketRun.OPEN:
            found.append(_stop_notice(row.run, [row]))
        found += _status_notices(row)
    found += _left_open_notices([row])
    if launch := tuple(_launch_lines(row)):
        found.append(Notice("Launch problems", launch))
    if row.done_in:
        line = format_html(
            "Already done by execution {}, whose result is used.", formatting.row_link(row.done_in)
        )
        found.append(Notice("Skipped on retry", (line,)))
    return found


def _left_open_notices(rows: Iterable[ActionExecution]) -> list[Notice]:
    lines = tuple(left_open_lines(rows))
    return [Notice("Still open in StackStorm", lines)] if lines else []


def _stop_notice(run: BucketRun, in_flight: Iterable[ActionExecution]) -> Notice:
    lines = [run.reason, "No other step starts. The run ends after the current step."]
    if run.stop == BucketRun.Stop.CANCEL:
        asking = [row for row in in_flight if row.asking_since]
        if not asking or not all(map(is_inquiry, asking)):
            lines += ["StackStorm is asked to cancel the current step.", CANCELED_IS_NOT_STOPPED]
        lines += [INQUIRY_STAYS_OPEN] if asking else []
    title = "Canceling" if run.stop == BucketRun.Stop.CANCEL else "Stopping"
    return Notice(title, tuple(line for line in lines if line))


def _status_notices(row: ActionExecution) -> list[Notice]:
    if row.status == Status.UNKNOWN:
        return [_unknown_notice(row)]
    titles = {
        Status.PENDING: "waits to start",
        Status.LAUNCHING: "is starting",
        Status.RUNNING: "is running",
    }
    line_functions = {
        Status.PENDING: _pending_lines,
        Status.LAUNCHING: _launching_lines,
        Status.RUNNING: _running_lines,
    }
    lines = tuple(line for line in line_functions[Status(row.status)](row) if line)
    if not lines:
        return []
    needs_operator = _needs_operator(row)
    state = "needs your action in StackStorm" if needs_operator else titles[Status(row.status)]
    title = format_html("{} {}", formatting.row_link(row), state)
    return [Notice(title, lines, is_urgent=needs_operator)]


def _needs_operator(row: ActionExecution) -> bool:
    # Answering or resuming a canceled execution is pointless.
    is_canceled = (
        row.run.stop == BucketRun.Stop.CANCEL or row.st2_action_execution_status == "canceling"
    )
    return row.asking_since is not None and not is_canceled


def _pending_lines(row: ActionExecution) -> Iterator[str]:
    at = clock.now()
    reasons = list(_blocking_lines(row, at=at))
    if row.run.held_until and row.due_at and row.due_at > at:
        reasons.append(cooldown.waiting_text(row.run))
    elif row.due_at and row.due_at > at:
        why = f": {row.error_message}" if row.error_message else ""
        if row.attempt > 1 and not why:
            why = f": attempt {row.attempt} starts after retry_delay_seconds."
        reasons.append(format_html("Not due until {} UTC{}", formatting.utc_time(row.due_at), why))
    yield from reasons
    if not reasons:
        yield format_html("Due since {} UTC. Waits for a worker.", formatting.utc_time(row.due_at))
        yield row.error_message


def _blocking_lines(row: ActionExecution, *, at: datetime.datetime) -> Iterator[str]:
    if pause := Pause.current(at=at):
        yield f"PoundCake is {pause}. The execution starts after the pause."
    if row.executed_via_stackstorm:
        yield from _outage_lines("The execution starts when StackStorm is back.")


def _outage_lines(consequence: str) -> Iterator[str]:
    if problem := outage.current():
        yield format_html(
            "StackStorm has been unreachable since {} UTC: {}. PoundCake retries at {} UTC. {}",
            formatting.utc_time(problem.since),
            problem.text.rstrip("."),
            formatting.utc_time(problem.next_try_at),
            consequence,
        )


def _launching_lines(row: ActionExecution) -> Iterator[str]:
    if row.lookup_until is None:
        yield format_html(
            "A worker claimed it at {} UTC. If that worker dies, another takes over after {} UTC.",
            formatting.utc_time(row.started_at),
            formatting.utc_time(row.due_at),
        )
        return
    yield row.error_message
    yield format_html(
        "StackStorm may or may not have received it. PoundCake looks it up by trace tag until {}"
        " UTC and does not send it again before then.",
        formatting.utc_time(row.lookup_until),
    )


def _running_lines(row: ActionExecution) -> Iterator[str]:
    st2_status = row.st2_action_execution_status
    if not row.executed_via_stackstorm:
        if row.due_at and row.due_at > clock.now():
            yield format_html("Waits until {} UTC.", formatting.utc_time(row.due_at))
        return
    yield from _outage_lines("PoundCake reads the outcome when StackStorm is back.")
    if _needs_operator(row):
        yield from open_inquiry_lines(row)
    elif st2_status in STACKSTORM_QUEUES:
        yield format_html(
            "Queued in StackStorm ({}) since {} UTC: no action runner has started it yet.",
            st2_status,
            formatting.utc_time(row.started_at),
        )


def _unknown_notice(row: ActionExecution) -> Notice:
    title = format_html(
        "Needs your decision: the outcome of {} is unknown", formatting.row_link(row)
    )
    target = row.alert.instance or "the host or service in the alert"
    lines = [
        row.error_message,
        "The run starts no other step until the outcome is set.",
        format_html("1. Check {}: is the problem fixed?", target),
        *_check_lines(row),
        "3. Set the outcome (requires the role operate). The run then continues.",
    ]
    return Notice(title, tuple(line for line in lines if line), is_urgent=True)


def _check_lines(row: ActionExecution) -> Iterator[str]:
    if not row.executed_via_stackstorm:
        yield "2. It is a local action of PoundCake: check whether it took effect."
    elif row.st2_execution_id:
        yield format_html(
            "2. Check {} in StackStorm: {}. PoundCake also checks, next at {} UTC, and continues"
            " the run if StackStorm reports the outcome.",
            formatting.external_link(row.st2_web_url, row.st2_execution_id),
            formatting.code(f"st2 execution get {row.st2_execution_id}"),
            formatting.utc_time(row.due_at),
        )
    else:
        yield format_html(
            "2. StackStorm returned no execution id. Search StackStorm for the trace tag: {}",
            formatting.code(f"st2 trace list --trace-tag {row.trace_tag}"),
        )


def _launch_lines(row: ActionExecution) -> Iterator[str]:
    if row.unanswered_launches:
        times = "once" if row.unanswered_launches == 1 else f"{row.unanswered_launches} times"
        yield f"Launched {times} without a response from StackStorm, then looked up by trace tag."
        if row.refused_launches:
            yield f"A proxy in front of StackStorm answered {row.refused_launches} of these calls."
    if row.st2_ghost_ids:
        yield format_html(
            "Stale or duplicate StackStorm executions from this launch, ignored and canceled by"
            " PoundCake: {}. {}",
            format_html_join(
                ", ", "{}", ((formatting.code(st2_id),) for st2_id in row.st2_ghost_ids)
            ),
            "One that had already started may have run its command.",
        )
