"""Find out whether StackStorm has an execution whose launch got no answer.

The request may have arrived, may still arrive, or never will. It is looked up by its trace tag
for LAUNCH_LOOKUP_SECONDS. What StackStorm has taken up is adopted; what it has stored and nobody
takes up is a ghost: deleted, and launched anew once its log proves that it never ran. What is not
there is launched once more with the same tag, and then never again.
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
from remediation.engine.retries import is_transient
from remediation.engine.secrets import known_secrets
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

BATCH = 50
BUDGET_SECONDS = 5.0  # after which a slow StackStorm makes room for what else is due
LONGEST_WAIT = datetime.timedelta(seconds=30)  # between two looks for one launch
LAUNCHES_MAX = 2  # that get no answer, before a person has to look
NEVER_RAN = {"requested", "canceling", "canceled"}


def schedule(
    execution: ActionExecution, *, at: datetime.datetime, reason: str, by_gateway: bool = False
) -> None:
    """Have a launch that got no answer, or one from a proxy, looked up from a second on."""
    until = at + datetime.timedelta(seconds=settings.LAUNCH_LOOKUP_SECONDS)
    counted = execution.unanswered_launches - execution.refused_launches
    is_last = not by_gateway and counted + 1 >= LAUNCHES_MAX
    follows = "a person has to look" if is_last else "it is sent again"
    said = mask_text(reason, known_secrets())
    execution.await_lookup(
        at=at + datetime.timedelta(seconds=min(1.0, settings.LAUNCH_LOOKUP_SECONDS)),
        until=until,
        why=(
            f"StackStorm is asked whether it has it: {said.rstrip('.')}. If it shows nothing by"
            f" {until:%Y-%m-%d %H:%M:%S} UTC, {follows}."
        ),
        by_gateway=by_gateway,
    )


def look_up_due(*, client: StackStormClient) -> int:
    """Look up the launches without an answer, a bounded batch; return how many.

    When StackStorm cannot be reached the batch ends: the others would wait for it in vain.
    """
    until, looked_up = time.monotonic() + BUDGET_SECONDS, 0
    rows = (
        ActionExecution.objects.filter(
            status=ActionExecution.Status.LAUNCHING,
            lookup_until__isnull=False,
            due_at__lte=clock.now(),
        )
        .select_related("run__plan")
        .order_by("due_at")[:BATCH]
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
    """Look up one launch; return whether StackStorm can be asked for others too."""
    cause = Cause()
    _put_off(row, at=cause.at)
    try:
        _look_up(row, client=client, cause=cause)
        outage.end_by_read(at=cause.at)
    except StackStormError as error:
        log_once.warning(logger, "Execution %s is looked up again: %s", row, error)
        _give_up_in_time(row, error, cause=cause)
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


def _put_off(row: ActionExecution, *, at: datetime.datetime) -> None:
    # Ever more seldom, for a look at StackStorm's database by tag is no cheap one.
    waited = (at - (row.started_at or at)).total_seconds()
    later = at + min(datetime.timedelta(seconds=max(1.0, waited / 4)), LONGEST_WAIT)
    if row.lookup_until and at < row.lookup_until:
        later = min(later, row.lookup_until)
    _still_looked_up(row).update(due_at=later)


def _still_looked_up(row: ActionExecution) -> QuerySet[ActionExecution]:
    """Return the row if it is still the launch that was read, for this worker may be slow."""
    return ActionExecution.objects.filter(
        pk=row.pk,
        status=ActionExecution.Status.LAUNCHING,
        started_at=row.started_at,
        lookup_until=row.lookup_until,
    )


def _look_up(row: ActionExecution, *, client: StackStormClient, cause: Cause) -> None:
    found = find_launched(row, client=client)
    ghosts = [client.execution(remote.id) for remote in found if remote.id in row.st2_ghost_ids]
    fresh = [remote for remote in found if remote.id not in row.st2_ghost_ids]
    if not _are_dead(row, ghosts, client=client, cause=cause):
        return
    moved = [remote for remote in fresh if remote.status != "requested"]
    if moved:
        _adopt(row, client.execution(moved[0].id), client=client, cause=cause)
    elif row.lookup_until and cause.at < row.lookup_until:
        return
    elif fresh:
        _delete(row, fresh, client=client)
    else:
        _not_there(row, dead=len(ghosts), cause=cause)


def _are_dead(
    row: ActionExecution, ghosts: list[Execution], *, client: StackStormClient, cause: Cause
) -> bool:
    """Return whether all ghosts are final and never ran; adopt one that did after all."""
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
        log_once.warning(logger, "Execution %s is looked up again: %s", row, error)
        if row.lookup_until and cause.at >= row.lookup_until:
            settle.settle(row, Outcome.unknown(f"{error}: look there"), cause=cause)


def _delete(
    row: ActionExecution, ghosts: list[TracedExecution], *, client: StackStormClient
) -> None:
    """Delete what StackStorm never took up; the next look makes sure that it never ran."""
    ids = [*row.st2_ghost_ids, *(ghost.id for ghost in ghosts)]
    # First on record: should this worker die now, the next look knows whom it has to ask about.
    later = clock.now() + datetime.timedelta(seconds=1)
    if not _still_looked_up(row).update(st2_ghost_ids=ids, due_at=later):
        return
    for ghost in ghosts:
        client.cancel(ghost.id)


def _give_up_in_time(row: ActionExecution, error: StackStormError, *, cause: Cause) -> None:
    """Let a launch rest as unknown of which StackStorm tells nothing for LAUNCH_TIMEOUT."""
    if cause.at - row.created_at < datetime.timedelta(seconds=settings.LAUNCH_TIMEOUT):
        return
    reason = (
        f"nobody knows whether StackStorm started it, and it tells nothing: {error}. Look there"
        f" for the trace tag {row.trace_tag}"
    )
    settle.settle(row, Outcome.unknown(reason), cause=cause)


def _not_there(row: ActionExecution, *, dead: int, cause: Cause) -> None:
    """Launch it again, unless that was tried before without an answer, or for LAUNCH_TIMEOUT.

    A launch that a proxy refused does not count as one without an answer.
    """
    counted = row.unanswered_launches - row.refused_launches - dead
    is_too_old = cause.at - row.created_at >= datetime.timedelta(seconds=settings.LAUNCH_TIMEOUT)
    if counted < LAUNCHES_MAX and not is_too_old:
        reason = "StackStorm has nothing of it, or nothing that it ever took up: it is sent anew"
        row.release(cause=cause, reason=reason, due_at=cause.at)
        return
    reason = (
        f"launched {row.unanswered_launches} times without an answer, and StackStorm shows"
        f" nothing with the trace tag {row.trace_tag}: look there before you decide"
    )
    settle.settle(row, Outcome.unknown(reason), cause=cause)
