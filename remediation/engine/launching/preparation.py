"""Reserve due executions and render them, so that a bad one neither stops nor kills the others.

Each attempt to prepare is counted in the row before it begins, and the claim clears the count. A
row with a count was in the hands of a worker that died: it is prepared alone, and fails when
``ATTEMPTS_MAX`` workers have died with it.
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
from remediation.engine.launching.claim import OPEN, StartChecks
from remediation.engine.retries import retry_on_conflict
from remediation.models import ActionExecution, Alert, BucketRun
from remediation.templating import RendererUnavailable, TemplateError

logger = logging.getLogger(__name__)

ATTEMPTS_MAX = 3  # to prepare one execution, of workers that died with it
LEASE = datetime.timedelta(seconds=15)  # in which no other worker prepares the same execution
ASK_AGAIN = datetime.timedelta(seconds=30)  # for an action that StackStorm alone cannot show
RENDER_SECONDS = 2.0  # after which a batch is claimed, and the rest waits for the next batch

Status = ActionExecution.Status


@dataclass(slots=True)
class Reservation:
    """Executions that no other worker prepares until ``until``; ``doubtful`` keep their count."""

    executions: list[ActionExecution]
    until: datetime.datetime
    doubtful: set[int] = field(default_factory=set)


@contextmanager
def reserved(executions: Sequence[ActionExecution]) -> Iterator[Reservation]:
    """Reserve the executions that may be prepared; afterwards give back those still pending.

    Executions of stopped or ended runs, and those that another worker prepares, are left out.
    """
    reservation = _reserve([row for row in executions if _may_begin(row.run)])
    try:
        yield reservation
    except BaseException:
        _give_back(reservation, reservation.executions)
        raise
    _give_back(reservation, [row for row in reservation.executions if row.status == Status.PENDING])


def prepare(reservation: Reservation, *, at: datetime.datetime) -> dict[int, parameters.Prepared]:
    """Render the reserved executions; return what came of them by execution id.

    Left out: runs whose bucket or action is disabled (the claim skips them), and executions for
    which there was no time or no renderer; they stay due.
    """
    checks = StartChecks(at=at)
    until = time.monotonic() + RENDER_SECONDS
    prepared: dict[int, parameters.Prepared] = {}
    wanted = []
    for execution in reservation.executions:
        run = execution.run
        if run.status == BucketRun.Status.PENDING and checks.disabled(run):
            continue
        if execution.prepare_attempts >= ATTEMPTS_MAX:
            prepared[execution.pk] = worn_out(execution)
        else:
            wanted.append(execution)
    return prepared | _render(reservation, wanted, until=until)


def prepare_again(
    reservation: Reservation,
    executions: Sequence[ActionExecution],
    prepared: dict[int, parameters.Prepared],
) -> None:
    """Put what executions render to now in the place of what was prepared, as ``prepare`` does."""
    for execution in executions:
        prepared.pop(execution.pk, None)
    if executions:
        prepared |= _render(reservation, executions, until=time.monotonic() + RENDER_SECONDS)


def _render(
    reservation: Reservation, executions: Sequence[ActionExecution], *, until: float
) -> dict[int, parameters.Prepared]:
    """Render executions; those for which there was no renderer are left out and stay due."""
    rendered = parameters.render_all(executions, until=until)
    for pk, one in list(rendered.items()):
        if not isinstance(one, RendererUnavailable):
            continue
        logger.warning("Execution %s stays due: %s", pk, one)
        del rendered[pk]
        if one.is_suspect:
            reservation.doubtful.add(pk)
    return rendered


def let_wait(
    executions: Sequence[ActionExecution], why: str, *, until: datetime.datetime | None = None
) -> None:
    """Have executions wait whose actions StackStorm cannot be asked for, and show why."""
    next_try = until or clock.now() + ASK_AGAIN
    reason = f"StackStorm has to say first what the action takes: {why.rstrip('.')}."
    _pending(executions).update(
        error_message=f"{reason} {outage.next_try_text(next_try)}", due_at=next_try
    )


def worn_out(execution: ActionExecution) -> TemplateError:
    """Return the error of an execution that too many workers have died with."""
    return TemplateError(
        "parameters",
        f"{execution.prepare_attempts} workers died or hung while they rendered this step;"
        " make its templates smaller and simpler",
    )


def load_related(executions: Sequence[ActionExecution]) -> None:
    """Load the rows that rendering and claiming read, where they are not loaded yet."""
    alerts = Prefetch("run__alert", Alert.objects.defer("raw_data"))
    prefetch_related_objects(list(executions), "action", alerts, "run__bucket", "run__plan")


def _may_begin(run: BucketRun) -> bool:
    return run.status in OPEN and run.stop == BucketRun.Stop.NO


def _reserve(executions: Sequence[ActionExecution]) -> Reservation:
    until = clock.now() + LEASE
    if not executions:
        return Reservation([], until)
    rows = _pending(executions)
    # A time that is too far ahead comes from another clock and is ignored.
    in_hand = Q(preparing_until__gt=clock.now(), preparing_until__lte=until + LEASE)
    count = retry_on_conflict(
        partial(
            rows.exclude(in_hand).update,
            preparing_until=until,
            prepare_attempts=F("prepare_attempts") + 1,
        ),
        description=f"The reservation of {len(executions)} executions",
    )
    if count == len(executions):
        return Reservation(list(executions), until)
    ours = set(rows.filter(preparing_until=until).values_list("pk", flat=True)) if count else ()
    return Reservation([row for row in executions if row.pk in ours], until)


def _give_back(reservation: Reservation, executions: Sequence[ActionExecution]) -> None:
    rows = [row for row in executions if row.pk not in reservation.doubtful]
    if rows:
        # After a claim there is no count. Another worker may hold the row when this one was slow.
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
