"""Poll StackStorm for the status of running executions: many per request, results included.

A callback makes a poll due sooner; only StackStorm's own response changes a status.
"""

from __future__ import annotations

import datetime
import logging
import time
from collections.abc import Sequence

from remediation import clock
from remediation.engine import log_once, outage
from remediation.engine.outcomes import poll_interval, poll_schedule
from remediation.engine.outcomes.deadlines import deadline
from remediation.engine.outcomes.duplicates import follow_oldest
from remediation.engine.outcomes.open_inquiries import refresh_inquiries
from remediation.engine.outcomes.outcome import OUTCOMES, Outcome
from remediation.engine.outcomes.remote_cancel import cancel_remote, is_cancel_requested
from remediation.engine.outcomes.remote_outcomes import settle_remote, settle_without_tasks
from remediation.engine.outcomes.remote_status import store_remote_status
from remediation.engine.outcomes.settle import settle
from remediation.engine.row_by_row import isolate, postpone
from remediation.models import ActionExecution, Cause
from remediation.stackstorm import (
    ExecutionResult,
    ExecutionState,
    StackStormClient,
    StackStormError,
    StackStormRejected,
)

logger = logging.getLogger(__name__)

BUDGET_SECONDS = 5.0  # of one call: a slow StackStorm must not delay the tick's other parts
RESULTS_PER_REQUEST = 25  # a result can be a megabyte
CANCEL_GRACE = datetime.timedelta(seconds=60)  # for StackStorm to end a canceled execution
WITHOUT_RESULT = {"canceled", "abandoned"}  # final statuses that may come without a result

Status = ActionExecution.Status


def poll_due(*, client: StackStormClient) -> int:
    """Poll every execution whose poll is due; return how many were polled."""
    polled = 0
    # ``at`` stays fixed: a row that is due again during this call is left to the next one.
    at, until = clock.now(), time.monotonic() + BUDGET_SECONDS
    while rows := poll_schedule.take_due(at=at):
        polled += len(rows)
        try:
            _poll(rows, client=client, until=until)
        except StackStormError as error:
            log_once.warning(logger, "Polling failed: %s", error)
            outage.report(error, at=clock.now())
            for row in rows:
                _give_up_if_overdue(row, f"StackStorm does not answer: {error}")
            break
        if time.monotonic() > until:
            break
    return polled


def _poll(rows: Sequence[ActionExecution], *, client: StackStormClient, until: float) -> None:
    """Read and apply the status of these executions. Raises StackStormError if the read fails."""
    by_id = {row.st2_execution_id or "": row for row in rows}
    states = {state.id: state for state in client.executions(list(by_id))}
    outage.end_by_read(at=clock.now())
    ended = {st2_id for st2_id, state in states.items() if _needs_only_result(by_id[st2_id], state)}
    _settle_ended(
        [by_id[st2_id] for st2_id in states if st2_id in ended], client=client, until=until
    )
    for st2_id, row in by_id.items():
        if st2_id in ended:
            continue
        with isolate(row, description="Polling", on_failure=postpone):
            _poll_one(row, states.get(st2_id), client=client)
        if time.monotonic() > until:
            return


def _needs_only_result(row: ActionExecution, state: ExecutionState) -> bool:
    # A workflow has tasks to read, and an unanswered launch may have a duplicate.
    return state.status in OUTCOMES and row.step_order != 0 and not row.unanswered_launches


def _settle_ended(
    rows: Sequence[ActionExecution], *, client: StackStormClient, until: float
) -> None:
    for first in range(0, len(rows), RESULTS_PER_REQUEST):
        # At least one request per poll, so that a slow StackStorm does not stop all progress.
        if first and time.monotonic() > until:
            return
        by_id = {
            row.st2_execution_id or "": row for row in rows[first : first + RESULTS_PER_REQUEST]
        }
        try:
            results = {remote.id: remote for remote in client.results(list(by_id))}
        except StackStormError as error:
            # Too large together, or one of them fails: read them one by one instead.
            log_once.warning(logger, "Reading several results at once failed: %s", error)
            results = {}
        complete = {st2_id: remote for st2_id, remote in results.items() if _is_complete(remote)}
        settle_without_tasks([(by_id[st2_id], remote) for st2_id, remote in complete.items()])
        for st2_id, row in by_id.items():
            if st2_id not in complete:
                with isolate(row, description="Polling", on_failure=postpone):
                    _poll_one(row, None, client=client)


def _is_complete(remote: ExecutionResult) -> bool:
    # An execution with children is a workflow, whose tasks must be read as well.
    is_final = remote.status in OUTCOMES and not remote.children
    return is_final and (remote.result is not None or remote.status in WITHOUT_RESULT)


def _poll_one(
    row: ActionExecution, state: ExecutionState | None, *, client: StackStormClient
) -> None:
    """Apply StackStorm's status of one execution; on an error, leave it to the next poll."""
    try:
        if row.unanswered_launches and follow_oldest(row, client=client, cause=Cause()):
            return
        if state is None or state.status in OUTCOMES:
            _fetch(row, client=client)
        else:
            _apply_unfinished(row, state, client=client)
    except StackStormError as error:
        log_once.warning(logger, "Polling execution %s failed, will retry: %s", row, error)
        _give_up_if_overdue(row, f"StackStorm does not report its status: {error}")


def _fetch(row: ActionExecution, *, client: StackStormClient) -> None:
    """Read one execution that has ended or that the list left out."""
    try:
        remote = client.execution(row.st2_execution_id or "")
    except StackStormRejected as error:
        if error.status != 404 or row.status == Status.UNKNOWN:
            raise
        reason = f"StackStorm does not know the execution (any more): {error}"
        settle(row, Outcome.unknown(reason), cause=Cause())
        return
    if remote.status in OUTCOMES:
        settle_remote(row, remote, client=client)
    else:
        # It contradicts the list; the newer response counts, and the deadline still applies.
        _apply_unfinished(row, remote, client=client)


def _apply_unfinished(
    row: ActionExecution, state: ExecutionState, *, client: StackStormClient
) -> None:
    """Store the status of an unfinished execution; cancel it if it is overdue or to be canceled."""
    at = clock.now()
    store_remote_status(row, state.status, at=at)
    refresh_inquiries(row, state.status, client=client, at=at)
    limit = deadline(row)
    if row.status != Status.RUNNING or not (limit.is_over(at) or is_cancel_requested(row)):
        return
    if remote := cancel_remote(row, state, limit=limit, client=client):
        settle_remote(row, remote, client=client)
    else:
        reason = f"{limit.timeout_reason}, and its status in StackStorm is still {state.status}"
        _give_up_if_overdue(row, reason)


def _give_up_if_overdue(row: ActionExecution, reason: str) -> None:
    """Settle as unknown after deadline plus CANCEL_GRACE; a later response still counts."""
    at = clock.now()
    if row.status == Status.RUNNING and at >= deadline(row).at + CANCEL_GRACE:
        next_poll = {"due_at": at + poll_interval.UNKNOWN_INTERVAL}
        settle(row, Outcome(Status.UNKNOWN, reason, next_poll), cause=Cause(at=at))
