"""Page texts about open StackStorm inquiries and about workflows paused in StackStorm."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from django.conf import settings
from django.utils.html import format_html

from remediation import clock
from remediation.admin import formatting
from remediation.engine.outcomes.inquiry_display import questions, respond_command
from remediation.models import ActionExecution

INQUIRY_STAYS_OPEN = (
    "StackStorm cannot cancel an open inquiry. It stays open in StackStorm until it is answered or"
    " expires, but answering it no longer affects the run."
)


def is_inquiry(row: ActionExecution) -> bool:
    """Return whether the execution itself is an inquiry, rather than a workflow with one."""
    return row.st2_action_execution_status == "pending"


def open_inquiry_lines(row: ActionExecution) -> Iterator[str]:
    """Yield each inquiry's questions, who may answer, how, and the effect of a timeout."""
    since = formatting.utc_time(row.asking_since)
    for inquiry in row.inquiries:
        yield from _inquiry_lines(inquiry, row)
    if row.inquiries:
        yield _without_answer(row)
    elif row.inquiries_checked_at in (None, clock.EPOCH):
        yield format_html(
            "It has been waiting for a response since {} UTC. The next poll reads its inquiry from"
            " StackStorm.",
            since,
        )
    elif is_inquiry(row):
        yield format_html(
            "It is an inquiry that has been open since {} UTC. StackStorm does not return its"
            " questions. Answer it in StackStorm: {}",
            since,
            formatting.code(respond_command({"id": row.st2_execution_id})),
        )
        yield _without_answer(row)
    else:
        yield format_html(
            "It has been paused in StackStorm since {} UTC and has no open inquiry: a user paused"
            " it. Resume it in StackStorm: {}",
            since,
            formatting.external_link(row.st2_web_url, row.st2_execution_id or ""),
        )
        yield f"PoundCake cancels it after {_timeout_text()}."


def _inquiry_lines(inquiry: Mapping[str, Any], row: ActionExecution) -> Iterator[str]:
    yield format_html("{} asks:", _inquiry_label(inquiry))
    for question in questions(inquiry) or ["StackStorm returned no schema for the response."]:
        yield format_html("• {}", question)
    if who := [*inquiry.get("users", []), *(f"role {role}" for role in inquiry.get("roles", []))]:
        yield format_html("Allowed to answer: {}.", ", ".join(who))
    yield format_html(
        "Answer it in StackStorm: {} or in its web UI: {}",
        formatting.code(respond_command(inquiry)),
        formatting.external_link(row.st2_web_url, row.st2_execution_id or ""),
    )
    if inquiry.get("ttl_minutes") is not None:
        yield (
            f"StackStorm expires it {inquiry['ttl_minutes']} min after it was opened; the execution"
            " then ends as timeout."
        )


def _inquiry_label(inquiry: Mapping[str, Any]) -> str:
    name = format_html("Inquiry {}", formatting.code(inquiry["id"]))
    if task := inquiry.get("task"):
        name = format_html("{} of task {}", name, task)
    if route := inquiry.get("route"):
        name = format_html("{}, route {},", name, route)
    if asked_at := _parse_time(inquiry.get("asked_at")):
        name = format_html(
            "{} open since {} UTC (StackStorm's clock)", name, formatting.utc_time(asked_at)
        )
    return name


def _parse_time(text: object) -> datetime.datetime | None:
    try:
        return datetime.datetime.fromisoformat(text) if isinstance(text, str) else None
    except ValueError:
        return None


def _without_answer(row: ActionExecution) -> str:
    if is_inquiry(row):
        return (
            f"Without an answer the execution ends as timeout after {_timeout_text()}."
            f" {INQUIRY_STAYS_OPEN}"
        )
    return (
        f"Without an answer PoundCake cancels the workflow after {_timeout_text()}; its inquiry"
        " stays open in StackStorm."
    )


def _timeout_text() -> str:
    return f"{settings.ST2_INQUIRY_TIMEOUT:g} s (ST2_INQUIRY_TIMEOUT)"


def left_open_lines(rows: Iterable[ActionExecution]) -> Iterator[str]:
    """Yield a line for each inquiry that was open when its execution ended."""
    for row in rows:
        if row.status in ActionExecution.FINAL:
            for inquiry in row.inquiries:
                yield format_html(
                    "Inquiry {} of {} was open when the execution ended. {}",
                    formatting.code(inquiry["id"]),
                    formatting.row_link(row),
                    INQUIRY_STAYS_OPEN,
                )
