"""Recent failures and runs that need an operator, in a bounded number of queries and rows."""

from __future__ import annotations

import datetime
from collections.abc import Iterable
from dataclasses import dataclass
from heapq import nlargest

from django.db.models import QuerySet

from audit.reports.inquiries import WaitingExecution, executions_waiting_for_operator
from remediation.models import ActionExecution, BucketRun, RejectedAlert
from remediation.values.urls import http_url

PAGE_SIZE = 100
REJECTED_SIZE = 50
FAILED = (BucketRun.Status.FAILURE, BucketRun.Status.TIMEOUT, BucketRun.Status.CANCELED)
COLUMNS = (
    "request_id",
    "status",
    "reason",
    "created_at",
    "completed_at",
    "bucket__name",
    "alert__alert_name",
    "alert__instance",
    "alert__severity",
    "alert__status",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class FailedExecution:
    """The last failed or unknown execution of a run."""

    id: int
    name: str
    status: str
    error_message: str
    st2_execution_id: str | None
    st2_web_url: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """A run that failed or is unknown. ``at``: when it ended, or was created if it is open."""

    run_id: int
    request_id: str
    status: str
    reason: str
    bucket: str
    alert_id: int
    alert_name: str
    alert_status: str
    instance: str
    severity: str
    at: datetime.datetime
    execution: FailedExecution | None


@dataclass(frozen=True, slots=True, kw_only=True)
class FailurePage:
    """Runs and executions that need an operator, of any age, and one page of failed runs.

    ``waiting_executions``: executions that wait for an operator in StackStorm.
    ``*_cut``: there are more rows than shown.
    ``rejected``: the newest rejected alerts, on the first page only.
    ``next_before``: the ``before`` of the next page, None on the last page.
    """

    days: int
    before: int | None
    unknown_runs: tuple[Failure, ...]
    unknown_runs_cut: bool
    waiting_executions: tuple[WaitingExecution, ...]
    waiting_executions_cut: bool
    failures: tuple[Failure, ...]
    next_before: int | None
    rejected: tuple[RejectedAlert, ...] = ()


def recent_failures(
    *, days: int, at: datetime.datetime, before: int | None = None, size: int = PAGE_SIZE
) -> FailurePage:
    """Return the failed runs created in the ``days`` before ``at``, newest first."""
    unknown_keys = list(_newest(BucketRun.Status.UNKNOWN, None)[: size + 1])
    # One query per status: each reads its index backwards, past no successful runs.
    candidates = [run for status in FAILED for run in _newest(status, before)[: size + 1]]
    since = at - datetime.timedelta(days=days)
    recent = [(pk, created) for pk, created in candidates if created >= since]
    newest = nlargest(size + 1, recent)
    runs = _runs([*unknown_keys, *newest])
    unknown = [runs[pk] for pk, _ in unknown_keys]
    failed = [runs[pk] for pk, _ in newest]
    waiting = executions_waiting_for_operator(size + 1) if before is None else []
    executions = _failed_executions([*unknown[:size], *failed[:size]])
    return FailurePage(
        days=days,
        before=before,
        unknown_runs=_failures(unknown[:size], executions),
        unknown_runs_cut=len(unknown) > size,
        waiting_executions=tuple(waiting[:size]),
        waiting_executions_cut=len(waiting) > size,
        failures=_failures(failed[:size], executions),
        next_before=failed[size - 1].pk if len(failed) > size else None,
        rejected=_rejected(since) if before is None else (),
    )


def _rejected(since: datetime.datetime) -> tuple[RejectedAlert, ...]:
    newest = RejectedAlert.objects.order_by("-pk")[:REJECTED_SIZE]
    return tuple(alert for alert in newest if alert.received_at >= since)


def _newest(
    status: BucketRun.Status, before: int | None
) -> QuerySet[BucketRun, tuple[int, datetime.datetime]]:
    """Return (id, time) of the runs with a status. Joins would prevent reading in index order."""
    runs = BucketRun.objects.filter(status=status).values_list("pk", "created_at")
    return (runs if before is None else runs.filter(pk__lt=before)).order_by("-pk")


def _runs(ids_and_times: Iterable[tuple[int, datetime.datetime]]) -> dict[int, BucketRun]:
    runs = BucketRun.objects.select_related("alert", "bucket").only(*COLUMNS)
    return runs.in_bulk([pk for pk, _ in ids_and_times])


def _failed_executions(runs: list[BucketRun]) -> dict[int, FailedExecution]:
    """Return the last failed or unknown execution of each run, by run id."""
    failed_statuses = (*ActionExecution.FAILED, ActionExecution.Status.UNKNOWN)
    columns = ("run", "name", "status", "error_message", "st2_execution_id", "st2_web_url")
    rows = (
        ActionExecution.objects.filter(run__in=runs, parent=None, status__in=failed_statuses)
        .only(*columns)
        .order_by("step_order", "attempt")
    )
    return {
        row.run_id: FailedExecution(
            id=row.pk,
            name=row.name,
            status=row.status,
            error_message=row.error_message,
            st2_execution_id=row.st2_execution_id,
            st2_web_url=http_url(row.st2_web_url),
        )
        for row in rows
    }


def _failures(
    runs: Iterable[BucketRun], executions: dict[int, FailedExecution]
) -> tuple[Failure, ...]:
    return tuple(
        Failure(
            run_id=run.pk,
            request_id=run.request_id,
            status=run.status,
            reason=run.reason,
            bucket=run.bucket.name,
            alert_id=run.alert_id,
            alert_name=run.alert.alert_name,
            alert_status=run.alert.status,
            instance=run.alert.instance,
            severity=run.alert.severity,
            at=run.completed_at or run.created_at,
            execution=executions.get(run.pk),
        )
        for run in runs
    )
