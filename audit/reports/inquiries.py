"""Executions that wait for an operator in StackStorm, and how to respond."""

from __future__ import annotations

import datetime
from dataclasses import dataclass

from remediation.engine.outcomes.inquiry_display import questions, respond_command
from remediation.models import ActionExecution, BucketRun
from remediation.values.urls import http_url

COLUMNS = (
    "name",
    "run",
    "request_id",
    "asking_since",
    "inquiries",
    "st2_execution_id",
    "st2_web_url",
    "bucket__name",
    "alert__alert_name",
    "alert__instance",
    "alert__severity",
    "alert__status",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenInquiry:
    """An open inquiry. ``questions``: its text lines. ``respond``: the command that responds."""

    id: str
    task: str
    questions: tuple[str, ...]
    respond: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitingExecution:
    """An execution that waits for an operator since ``at``. Without inquiries, it was paused."""

    execution_id: int
    name: str
    run_id: int
    request_id: str
    bucket: str
    alert_name: str
    alert_status: str
    instance: str
    severity: str
    at: datetime.datetime
    st2_execution_id: str | None
    st2_web_url: str | None
    inquiries: tuple[OpenInquiry, ...]


def executions_waiting_for_operator(size: int) -> list[WaitingExecution]:
    """Return at most ``size`` executions that wait for an operator, newest first.

    Canceled runs are excluded: they need no response.
    """
    rows = (
        ActionExecution.objects.filter(
            status=ActionExecution.Status.RUNNING, asking_since__isnull=False, parent=None
        )
        .exclude(run__stop=BucketRun.Stop.CANCEL)
        .exclude(st2_action_execution_status="canceling")
        .select_related("bucket", "alert")
        .only(*COLUMNS)
        .order_by("-pk")
    )
    return [_waiting_execution(row, row.asking_since) for row in rows[:size] if row.asking_since]


def _waiting_execution(row: ActionExecution, since: datetime.datetime) -> WaitingExecution:
    return WaitingExecution(
        execution_id=row.pk,
        name=row.name,
        run_id=row.run_id,
        request_id=row.request_id,
        bucket=row.bucket.name,
        alert_name=row.alert.alert_name,
        alert_status=row.alert.status,
        instance=row.alert.instance,
        severity=row.alert.severity,
        at=since,
        st2_execution_id=row.st2_execution_id,
        st2_web_url=http_url(row.st2_web_url),
        inquiries=tuple(
            OpenInquiry(
                id=inquiry["id"],
                task=inquiry["task"],
                questions=tuple(questions(inquiry)),
                respond=respond_command(inquiry),
            )
            for inquiry in row.inquiries
        ),
    )
