"""Find out whether StackStorm has an execution whose launch got no response.

The outcome of such a launch is unknown: the request may have arrived, may still arrive, or never
will. The execution is looked up by its trace tag for LAUNCH_LOOKUP_SECONDS:

- An execution that StackStorm has begun is adopted: the row follows it from then on.
- A ghost, an execution that StackStorm stored and never began (it is still `requested` at the end
  of the look-up), is canceled. Once its log proves that it never ran, the row is resent.
- If nothing is found, the row is resent once with the same trace tag. If that launch gets no
  response either and nothing is found, the row becomes unknown.

Rows that may have been launched before a backup was restored are looked up in the same way; see
``restored_launches``.
"""

from __future__ import annotations

import datetime
import logging
import time

from django.conf import settings
from django.db import IntegrityError
from django.db.models import QuerySet

from remediation import clock
from remediation.engine import batches, log_once, outage
from remediation.engine.launching import changed_actions, started_executions
from remediation.engine.outcomes import execution_ids, settle
from remediation.engine.outcomes.outcome import Outcome
from remediation.engine.outcomes.traces import find_launched
from remediation.engine.secret_values import known_secrets
from remediation.engine.transaction_retries import is_transient
from remediation.models import ActionExecution, Cause, IllegalTransitionError
from remediation.redaction import mask_text
from remediation.stackstorm import (
    FINAL_STATUSES,
    UNCANCELABLE_STATUSES,
    Execution,
    StackStormClient,
    StackStormError,
    StackStormUnavailable,
    TracedExecution,
)

logger = logging.getLogger(__name__)

BATCH_SIZE = 50
BATCH_SECONDS = 5.0  # after which a slow StackStorm must not delay other due work
LONGEST_WAIT = datetime.timedelta(seconds=30)  # between two look-ups of one launch
LAUNCHES_MAX = 2  # launches without a response before the row becomes unknown
NEVER_RAN = {"requested", "canceling", "canceled"}


def schedule(
    execution: ActionExecution, *, at: datetime.datetime, reason: str, by_gateway: bool = False
) -> None:
    """Schedule look-ups, from one second on, of a launch whose outcome is unknown.

    ``by_gateway``: a proxy responded, not StackStorm.
    """
    until = at + datetime.timedelta(seconds=settings.LAUNCH_LOOKUP_SECONDS)
    counted = execution.unanswered_launches - execution.refused_launches
    is_last = not by_gateway and counted + 1 >= LAUNCHES_MAX
    next_step = "an operator must decide" if is_last else "it is resent"
    error = mask_text(reason, known_secrets()).rstrip(".")
    execution.await_lookup(
        at=at + datetime.timedelta(seconds=min(1.0, settings.LAUNCH_LOOKUP_SECONDS)),
        until=until,
        why=(
            f"Looking for the execution in StackStorm: {error}. If none is found by"
            f" {until:%Y-%m-%d %H:%M:%S} UTC, {next_step}."
        ),
        by_gateway=by_gateway,
    )


def look_up_due(*, client: StackStormClient) -> int:
    """Look up launches without a response in a bounded batch; return how many.

    The batch ends when StackStorm is unreachable.
    """
    until, looked_up = time.monotonic() + BATCH_SECONDS, 0
    rows = (
        ActionExecution.objects.filter(
            status=ActionExecution.Status.LAUNCHING,
            lookup_until__isnull=False,
            due_at__lte=clock.now(),
        )
        .select_related("run__plan")
        .order_by("due_at")[:BATCH_SIZE]
    )
    for row in rows:
        if time.monotonic() > until:
            break
        looked_up += 1
        with batches.isolate(row, job="lookup"):
            if not _look_up_one(row, client=client):
                break
    return looked_up


def _look_up_one(row: ActionExecution, *, client: StackStormClient) -> bool:
    """Look up one launch; return whether StackStorm is reachable for the others."""
    cause = Cause()
    _schedule_next(row, at=cause.at)
    try:
        _look_up(row, client=client, cause=cause)
        outage.end_by_read(at=cause.at)
    except StackStormError as error:
        log_once.warning(logger, "Look-up of execution %s will be retried: %s", row, error)
        _give_up_after_timeout(row, error, cause=cause)
        if isinstance(error, StackStormUnavailable) and error.stops_others:
            outage.report(error, at=cause.at)
            return False
    except IllegalTransitionError as error:
        logger.info("Looked up by another worker: %s", error)
    except IntegrityError as error:
        if not is_transient(error):
            raise
        logger.info("Looked up by another worker: %s", error)
    return True


def _schedule_next(row: ActionExecution, *, at: datetime.datetime) -> None:
    # The interval grows, because a search by trace tag is expensive for StackStorm's database.
    waited = (at - (row.started_at or at)).total_seconds()
    later = at + min(datetime.timedelta(seconds=max(1.0, waited / 4)), LONGEST_WAIT)
    if row.lookup_until and at < row.lookup_until:
        later = min(later, row.lookup_until)
    _if_unchanged(row).update(due_at=later)


def _if_unchanged(row: ActionExecution) -> QuerySet[ActionExecution]:
    """Return a queryset of the row that is empty if another worker has changed its launch."""
    return ActionExecution.objects.filter(
        pk=row.pk,
        status=ActionExecution.Status.LAUNCHING,
        started_at=row.started_at,
        lookup_until=row.lookup_until,
    )


def _look_up(row: ActionExecution, *, client: StackStormClient, cause: Cause) -> None:
    found = find_launched(row, client=client)
    ghosts = [client.execution(remote.id) for remote in found if remote.id in row.st2_ghost_ids]
    candidates = [remote for remote in found if remote.id not in row.st2_ghost_ids]
    if not _have_never_run(row, ghosts, client=client, cause=cause):
        return
    begun = [remote for remote in candidates if remote.status != "requested"]
    if begun:
        _adopt(row, client.execution(begun[0].id), client=client, cause=cause)
    elif row.lookup_until and cause.at < row.lookup_until:
        return
    elif candidates:
        _cancel_ghosts(row, candidates, client=client)
    else:
        _resend_or_give_up(row, ghosts=len(ghosts), cause=cause)


def _have_never_run(
    row: ActionExecution, ghosts: list[Execution], *, client: StackStormClient, cause: Cause
) -> bool:
    """Return whether all ghosts are final and never ran; adopt one that ran after all."""
    for ghost in ghosts:
        if ghost.status not in UNCANCELABLE_STATUSES:
            client.cancel(ghost.id)
        if ghost.status not in {*FINAL_STATUSES, "pending"}:
            return False
        if any(change.status not in NEVER_RAN for change in ghost.log):
            _adopt(row, ghost, client=client, cause=cause)
            return False
    return True


def _adopt(
    row: ActionExecution, remote: Execution, *, client: StackStormClient, cause: Cause
) -> None:
    if changed_actions.cancel_if_unsafe(row, remote, client=client):
        return
    reason = "found in StackStorm by its trace tag"
    try:
        started_executions.record(row, remote, cause=cause, poll_at=cause.at, reason=reason)
    except execution_ids.ExecutionIdTakenError as error:
        log_once.warning(logger, "Look-up of execution %s will be retried: %s", row, error)
        if row.lookup_until and cause.at >= row.lookup_until:
            settle.settle(row, Outcome.unknown(f"{error}: check in StackStorm"), cause=cause)


def _cancel_ghosts(
    row: ActionExecution, ghosts: list[TracedExecution], *, client: StackStormClient
) -> None:
    """Cancel ghosts; the next look-up verifies that they never ran."""
    ids = [*row.st2_ghost_ids, *(ghost.id for ghost in ghosts)]
    # Store the ids first: if this worker dies now, the next look-up knows the ghosts.
    later = clock.now() + datetime.timedelta(seconds=1)
    if not _if_unchanged(row).update(st2_ghost_ids=ids, due_at=later):
        return
    for ghost in ghosts:
        client.cancel(ghost.id)


def _give_up_after_timeout(row: ActionExecution, error: StackStormError, *, cause: Cause) -> None:
    """Settle a row as unknown if StackStorm could not be read within LAUNCH_TIMEOUT."""
    # A row that is searched because of a restored backup may be old from the start.
    since = row.created_at if row.unanswered_launches else row.started_at or row.created_at
    if cause.at - since < datetime.timedelta(seconds=settings.LAUNCH_TIMEOUT):
        return
    reason = (
        "the outcome is unknown: StackStorm may have started it, and look-ups fail:"
        f" {error}. Search in StackStorm for the trace tag {row.trace_tag}"
    )
    settle.settle(row, Outcome.unknown(reason), cause=cause)


def _resend_or_give_up(row: ActionExecution, *, ghosts: int, cause: Cause) -> None:
    """Resend the row, or settle it as unknown after LAUNCHES_MAX launches or LAUNCH_TIMEOUT.

    Launches that a proxy refused and launches that became ghosts do not count.
    """
    if not row.unanswered_launches:
        # It was searched because a backup was restored.
        reason = "StackStorm has no execution from before the restore of the backup"
        row.release(cause=cause, reason=reason, due_at=cause.at)
        return
    counted = row.unanswered_launches - row.refused_launches - ghosts
    is_too_old = cause.at - row.created_at >= datetime.timedelta(seconds=settings.LAUNCH_TIMEOUT)
    if counted < LAUNCHES_MAX and not is_too_old:
        reason = "StackStorm has no execution of this launch, or none that ever began: resent"
        row.release(cause=cause, reason=reason, due_at=cause.at)
        return
    reason = (
        f"launched {row.unanswered_launches} times without a response, and StackStorm has no"
        f" execution with the trace tag {row.trace_tag}: check in StackStorm before you decide"
    )
    settle.settle(row, Outcome.unknown(reason), cause=cause)
