"""Why a run or an execution waits, and whether it waits for a person, in plain words."""

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
OPEN = (BucketRun.Status.PENDING, BucketRun.Status.RUNNING)
CANCELED_IS_NOT_STOPPED = (
    "Canceled in StackStorm does not mean that the command stopped: what it has started on the"
    " host may run to its end. Look there."
)
STACKSTORM_QUEUES = ("requested", "scheduled", "delayed")


@dataclass(frozen=True, slots=True)
class Notice:
    """What a person should know first; ``is_urgent``: it waits for a person."""

    title: str
    lines: tuple[str, ...]
    is_urgent: bool = False


def run_notices(run: BucketRun) -> list[Notice]:
    """Return why a run that has not ended is where it is, and which inquiries it left open."""
    rows = run.executions.filter(parent=None).select_related("run", "alert", "action")
    rows = rows.defer("parameters", "st2_result").order_by("pk")
    found = []
    if run.status not in BucketRun.FINAL:
        in_flight = [row for row in rows if row.status not in ActionExecution.FINAL]
        found += [_stopping(run, in_flight)] if run.stop else []
        for row in in_flight:
            found += _state(row)
    return found + _left_open(rows)


def execution_notices(row: ActionExecution) -> list[Notice]:
    """Return why an execution waits, what it left open, and what was unusual about its launch."""
    found = []
    if row.parent_id is None and row.status not in ActionExecution.FINAL:
        found += [_stopping(row.run, [row])] if row.run.stop and row.run.status in OPEN else []
        found += _state(row)
    found += _left_open([row])
    if launch := tuple(_launch_lines(row)):
        found.append(Notice("About its launch", launch))
    if row.done_in:
        line = format_html(
            "It was done in {}; that result counts here.", formatting.row_link(row.done_in)
        )
        found.append(Notice("Not repeated", (line,)))
    return found


def _left_open(rows: Iterable[ActionExecution]) -> list[Notice]:
    lines = tuple(left_open_lines(rows))
    return [Notice("Still open in StackStorm", lines)] if lines else []


def _stopping(run: BucketRun, in_flight: Iterable[ActionExecution]) -> Notice:
    lines = [run.reason, "Nothing more of it starts. It ends when what is in flight has ended."]
    if run.stop == BucketRun.Stop.CANCEL:
        asking = [row for row in in_flight if row.asking_since]
        if not asking or not all(map(is_inquiry, asking)):
            lines += ["StackStorm is asked to cancel what runs there.", CANCELED_IS_NOT_STOPPED]
        lines += [INQUIRY_STAYS_OPEN] if asking else []
    title = "To be canceled" if run.stop == BucketRun.Stop.CANCEL else "To stop"
    return Notice(title, tuple(line for line in lines if line))


def _state(row: ActionExecution) -> list[Notice]:
    if row.status == Status.UNKNOWN:
        return [_unknown(row)]
    titles = {
        Status.PENDING: "waits to be started",
        Status.LAUNCHING: "is being started",
        Status.RUNNING: "runs",
    }
    tellers = {
        Status.PENDING: _pending_lines,
        Status.LAUNCHING: _launching_lines,
        Status.RUNNING: _running_lines,
    }
    lines = tuple(line for line in tellers[Status(row.status)](row) if line)
    if not lines:
        return []
    word = "waits for a person" if _is_asking(row) else titles[Status(row.status)]
    title = format_html("{} {}", formatting.row_link(row), word)
    return [Notice(title, lines, is_urgent=_is_asking(row))]


def _is_asking(row: ActionExecution) -> bool:
    # Once it is canceled, nobody has to answer any more.
    is_canceled = (
        row.run.stop == BucketRun.Stop.CANCEL or row.st2_action_execution_status == "canceling"
    )
    return row.asking_since is not None and not is_canceled


def _pending_lines(row: ActionExecution) -> Iterator[str]:
    at = clock.now()
    reasons = list(_held_back(row, at=at))
    if row.run.held_until and row.due_at and row.due_at > at:
        reasons.append(cooldown.sentence(row.run))
    elif row.due_at and row.due_at > at:
        why = f": {row.error_message}" if row.error_message else ""
        if row.attempt > 1 and not why:
            why = f": it is attempt {row.attempt}, after a pause (retry_delay_seconds)."
        reasons.append(format_html("Not due until {} UTC{}", formatting.utc_time(row.due_at), why))
    yield from reasons
    if not reasons:
        yield format_html("Due since {} UTC. A worker takes it.", formatting.utc_time(row.due_at))
        yield row.error_message


def _held_back(row: ActionExecution, *, at: datetime.datetime) -> Iterator[str]:
    if pause := Pause.current(at=at):
        yield f"PoundCake is {pause}. It starts after the pause."
    if row.executed_via_stackstorm:
        yield from _unreachable("It starts by itself when StackStorm is back.")


def _unreachable(promise: str) -> Iterator[str]:
    if problem := outage.current():
        yield format_html(
            "StackStorm cannot be reached since {} UTC: {}. The next try is at {} UTC. {}",
            formatting.utc_time(problem.beat_at),
            problem.note.rstrip("."),
            formatting.utc_time(problem.due_at),
            promise,
        )


def _launching_lines(row: ActionExecution) -> Iterator[str]:
    if row.lookup_until is None:
        yield format_html(
            "A worker took it at {} UTC. Should that worker be dead, it is taken up after {} UTC.",
            formatting.utc_time(row.started_at),
            formatting.utc_time(row.due_at),
        )
        return
    yield row.error_message
    yield format_html(
        "Nobody knows yet whether StackStorm got it. It is looked up by its trace tag until {} UTC,"
        " and nothing is sent twice before that.",
        formatting.utc_time(row.lookup_until),
    )


def _running_lines(row: ActionExecution) -> Iterator[str]:
    word = row.st2_action_execution_status
    if not row.executed_via_stackstorm:
        if row.due_at and row.due_at > clock.now():
            yield format_html("It waits until {} UTC.", formatting.utc_time(row.due_at))
        return
    yield from _unreachable("How it ended is asked for when StackStorm is back.")
    if _is_asking(row):
        yield from open_inquiry_lines(row)
    elif word in STACKSTORM_QUEUES:
        yield format_html(
            "It is queued in StackStorm ({}) since {} UTC: no action runner has taken it yet.",
            word,
            formatting.utc_time(row.started_at),
        )


def _unknown(row: ActionExecution) -> Notice:
    title = format_html("Waits for you: nobody knows how {} ended", formatting.row_link(row))
    lines = [
        row.error_message,
        "Nothing more of the run starts until somebody knows.",
        format_html("1. Look at {}: is it repaired?", row.alert.instance or "what the alert names"),
        *_where_to_look(row),
        "3. Then judge it (role operate): say how it ended, and the run goes on from there.",
    ]
    return Notice(title, tuple(line for line in lines if line), is_urgent=True)


def _where_to_look(row: ActionExecution) -> Iterator[str]:
    if not row.executed_via_stackstorm:
        yield "2. It ran in PoundCake itself: look whether what it should do has happened."
    elif row.st2_execution_id:
        yield format_html(
            "2. Look in StackStorm at {}: {}. PoundCake asks, too, next at {} UTC, and goes on by"
            " itself if StackStorm knows.",
            formatting.external_link(row.st2_web_url, row.st2_execution_id),
            formatting.code(f"st2 execution get {row.st2_execution_id}"),
            formatting.utc_time(row.due_at),
        )
    else:
        yield format_html(
            "2. StackStorm gave no id. Look there for the trace tag: {}",
            formatting.code(f"st2 trace list --trace-tag {row.trace_tag}"),
        )


def _launch_lines(row: ActionExecution) -> Iterator[str]:
    if row.unanswered_launches:
        times = "once" if row.unanswered_launches == 1 else f"{row.unanswered_launches} times"
        yield f"StackStorm was called {times} without an answer, and asked by trace tag for it."
        if row.refused_launches:
            yield f"Of these calls a proxy before StackStorm answered {row.refused_launches}."
    if row.st2_ghost_ids:
        yield format_html(
            "These in StackStorm come from the same launch, do not count and were canceled there:"
            " {}. {}",
            format_html_join(
                ", ", "{}", ((formatting.code(st2_id),) for st2_id in row.st2_ghost_ids)
            ),
            "One that had begun may still have run its command.",
        )
