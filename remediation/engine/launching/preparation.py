"""Reserve and render due executions, so that a bad one does not stop or kill the others.

Each attempt to prepare a row is counted before it begins, and the claim clears the count. A count
on a pending row means that a worker died or hung while preparing it. Such a row is prepared in
isolation, and fails after ``ATTEMPTS_MAX`` attempts.
"""

from __future__ import annotations

import datetime
import logging
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial

from django.db.models import Case, F, Prefetch, Q, QuerySet, When, prefetch_related_objects

from remediation import clock
from remediation.engine import outage
from remediation.engine.launching import parameters
from remediation.engine.launching.claim import StartChecks
from remediation.engine.transaction_retries import retry_on_conflict
from remediation.models import ActionExecution, Alert, BucketRun
from remediation.templating import RendererUnavailable, TemplateError

logger = logging.getLogger(__name__)

ATTEMPTS_MAX = 3  # to prepare one execution before it fails
RESERVATION_TIME = datetime.timedelta(seconds=15)  # in which no other worker prepares it
METADATA_RETRY_DELAY = datetime.timedelta(seconds=30)  # for one action that cannot be fetched
RENDER_SECONDS = 2.0  # after which a batch is claimed; the rest waits for the next batch

Status = ActionExecution.Status


@dataclass(slots=True)
class Reservation:
    """Executions that no other worker prepares before ``until``.

    ``suspects`` are the ids of those that ended the renderer: they keep their count of attempts.
    """

    executions: list[ActionExecution]
    until: datetime.datetime
    suspects: set[int] = field(default_factory=set)


@contextmanager
def reserved(executions: Sequence[ActionExecution]) -> Iterator[Reservation]:
    """Reserve executions; on exit release those still pending.

    Excludes executions of stopped or ended runs and those that another worker has reserved.
    """
    reservation = _reserve([row for row in executions if _may_start(row.run)])
    try:
        yield reservation
    except BaseException:
        _release(reservation, reservation.executions)
        raise
    _release(reservation, [row for row in reservation.executions if row.status == Status.PENDING])


def prepare(reservation: Reservation, *, at: datetime.datetime) -> dict[int, parameters.Prepared]:
    """Render the reserved executions; return the results by execution id.

    Runs whose bucket or action is disabled have no result: the claim skips them. Executions for
    which no time or no renderer was left have none either: they stay due.
    """
    checks = StartChecks(at=at)
    until = time.monotonic() + RENDER_SECONDS
    prepared: dict[int, parameters.Prepared] = {}
    renderable = []
    for execution in reservation.executions:
        run = execution.run
        if run.status == BucketRun.Status.PENDING and checks.disabled_reason(run):
            continue
        if execution.prepare_attempts >= ATTEMPTS_MAX:
            prepared[execution.pk] = too_many_attempts(execution)
        else:
            renderable.append(execution)
    return prepared | _render(reservation, renderable, until=until)


def render_again(
    reservation: Reservation,
    executions: Sequence[ActionExecution],
    prepared: dict[int, parameters.Prepared],
) -> None:
    """Replace the results in ``prepared`` after the metadata of the actions has changed."""
    for execution in executions:
        prepared.pop(execution.pk, None)
    if executions:
        prepared |= _render(reservation, executions, until=time.monotonic() + RENDER_SECONDS)


def _render(
    reservation: Reservation, executions: Sequence[ActionExecution], *, until: float
) -> dict[int, parameters.Prepared]:
    """Render executions; those without a renderer have no result and stay due."""
    rendered = parameters.render_all(executions, until=until)
    for pk, result in list(rendered.items()):
        if not isinstance(result, RendererUnavailable):
            continue
        logger.warning("Execution %s stays due: %s", pk, result)
        del rendered[pk]
        if result.is_suspect:
            reservation.suspects.add(pk)
    return rendered


def wait_for_metadata(
    executions: Sequence[ActionExecution], error: str, *, until: datetime.datetime | None = None
) -> None:
    """Postpone executions whose action could not be fetched, with the error as the reason."""
    next_try = until or clock.now() + METADATA_RETRY_DELAY
    reason = f"Waiting for the metadata of the action: {error.rstrip('.')}."
    _pending(executions).update(
        error_message=f"{reason} {outage.next_try_text(next_try)}", due_at=next_try
    )


def too_many_attempts(execution: ActionExecution) -> TemplateError:
    """Return the error of an execution after ``ATTEMPTS_MAX`` attempts to prepare it."""
    return TemplateError(
        "parameters",
        f"{execution.prepare_attempts} workers died or hung while they rendered this step;"
        " make its templates smaller and simpler",
    )


def load_related(executions: Sequence[ActionExecution]) -> None:
    """Load the related rows that rendering and claiming read, unless they are loaded."""
    alerts = Prefetch("run__alert", Alert.objects.defer("raw_data"))
    prefetch_related_objects(list(executions), "action", alerts, "run__bucket", "run__plan")


def _may_start(run: BucketRun) -> bool:
    return run.status in BucketRun.OPEN and run.stop == BucketRun.Stop.NO


def _reserve(executions: Sequence[ActionExecution]) -> Reservation:
    until = clock.now() + RESERVATION_TIME
    if not executions:
        return Reservation([], until)
    rows = _pending(executions)
    # A time too far ahead was written with a wrong clock and is ignored.
    is_reserved = Q(preparing_until__gt=clock.now(), preparing_until__lte=until + RESERVATION_TIME)
    count = retry_on_conflict(
        partial(
            rows.exclude(is_reserved).update,
            preparing_until=until,
            prepare_attempts=F("prepare_attempts") + 1,
        ),
        description=f"The reservation of {len(executions)} executions",
    )
    if count == len(executions):
        return Reservation(list(executions), until)
    ours = set(rows.filter(preparing_until=until).values_list("pk", flat=True)) if count else ()
    return Reservation([row for row in executions if row.pk in ours], until)


def _release(reservation: Reservation, executions: Sequence[ActionExecution]) -> None:
    rows = [row for row in executions if row.pk not in reservation.suspects]
    if rows:
        # A claim clears the count. If this worker was slow, another may have reserved the row.
        _pending(rows).filter(prepare_attempts__gt=0).update(
            prepare_attempts=F("prepare_attempts") - 1,
            preparing_until=Case(
                When(preparing_until=reservation.until, then=None), default=F("preparing_until")
            ),
        )


def _pending(executions: Sequence[ActionExecution]) -> QuerySet[ActionExecution]:
    return ActionExecution.objects.filter(
        pk__in=[row.pk for row in executions], status=Status.PENDING
    )
