"""What failed lately, and what waits for a person, in a bounded number of queries and rows."""

from __future__ import annotations

import datetime
from collections.abc import Iterable
from dataclasses import dataclass
from heapq import nlargest

from django.db.models import QuerySet

from audit.reports.formatting import safe_url
from audit.reports.inquiries import Asking, waiting_for_an_answer
from remediation.models import ActionExecution, BucketRun, RejectedAlert

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
    """The last execution of a run that failed or about which nobody knows."""

    id: int
    name: str
    status: str
    error_message: str
    st2_execution_id: str | None
    st2_web_url: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """A run that did not remediate its alert; ``at`` is when it ended or came to rest."""

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
    """What waits for a person however old it is, and one page of failures.

    ``waiting``: the unknown runs. ``asking``: the executions that wait for a person's answer.
    ``rejected``: the newest alerts that could not be acted on, on the first page.
    ``next_before``: the run id before which the next page begins, None on the last page.
    """

    days: int
    before: int | None
    waiting: tuple[Failure, ...]
    waiting_is_cut: bool
    asking: tuple[Asking, ...]
    asking_is_cut: bool
    failures: tuple[Failure, ...]
    next_before: int | None
    rejected: tuple[RejectedAlert, ...] = ()


def recent_failures(
    *, days: int, at: datetime.datetime, before: int | None = None, size: int = PAGE_SIZE
) -> FailurePage:
    """Return the failed runs that were made in the ``days`` before ``at``, the newest first."""
    unknown = list(_newest(BucketRun.Status.UNKNOWN, None)[: size + 1])
    # Each status by itself walks its own index backwards, however many runs did not fail.
    found = [run for status in FAILED for run in _newest(status, before)[: size + 1]]
    since = at - datetime.timedelta(days=days)
    recent = [(pk, made) for pk, made in found if made >= since]
    newest = nlargest(size + 1, recent)
    runs = _runs([*unknown, *newest])
    waiting = [runs[pk] for pk, _ in unknown]
    failed = [runs[pk] for pk, _ in newest]
    asking = waiting_for_an_answer(size + 1) if before is None else []
    executions = _failed_executions([*waiting[:size], *failed[:size]])
    return FailurePage(
        days=days,
        before=before,
        waiting=_failures(waiting[:size], executions),
        waiting_is_cut=len(waiting) > size,
        asking=tuple(asking[:size]),
        asking_is_cut=len(asking) > size,
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
    """Return id and time of the runs of a status, without the joins that would undo the order."""
    runs = BucketRun.objects.filter(status=status).values_list("pk", "created_at")
    return (runs if before is None else runs.filter(pk__lt=before)).order_by("-pk")


def _runs(found: Iterable[tuple[int, datetime.datetime]]) -> dict[int, BucketRun]:
    runs = BucketRun.objects.select_related("alert", "bucket").only(*COLUMNS)
    return runs.in_bulk([pk for pk, _ in found])


def _failed_executions(runs: list[BucketRun]) -> dict[int, FailedExecution]:
    """Return the execution at which each of these runs failed, by run."""
    unhappy = (*ActionExecution.FAILED, ActionExecution.Status.UNKNOWN)
    columns = ("run", "name", "status", "error_message", "st2_execution_id", "st2_web_url")
    rows = (
        ActionExecution.objects.filter(run__in=runs, parent=None, status__in=unhappy)
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
            st2_web_url=safe_url(row.st2_web_url),
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
