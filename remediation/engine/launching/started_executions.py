"""Record that StackStorm has started executions, and schedule the poll of their outcomes."""

from __future__ import annotations

import datetime
import logging
from collections.abc import Sequence
from functools import partial

from django.db import transaction

from remediation import queue
from remediation.engine.outcomes import poll_interval
from remediation.engine.outcomes.execution_ids import ExecutionIdTakenError, owners
from remediation.engine.outcomes.outcome import Outcome
from remediation.engine.outcomes.settle import settle
from remediation.engine.row_by_row import reason_for, run_batch
from remediation.models import ActionExecution, Cause, IllegalTransitionError, TransitionBatch
from remediation.stackstorm import Execution

logger = logging.getLogger(__name__)


Launch = tuple[ActionExecution, Execution]
# With the error if StackStorm returned the id of another row's execution.
UnrecordedLaunch = tuple[ActionExecution, Execution, ExecutionIdTakenError | None]


def record_all(launched: Sequence[Launch], *, cause: Cause) -> list[UnrecordedLaunch]:
    """Record launches that StackStorm accepted, in one transaction.

    A launch that the database refuses becomes unknown, with StackStorm's id in the reason. Returns
    the launches that were not recorded: with an error if StackStorm returned the id of another
    row's execution, with None if the row has changed.
    """
    batches = run_batch(
        launched,
        partial(_record_batch, cause=cause),
        description=f"Recording {len(launched)} launches",
        on_failure=partial(_settle_unknown, cause=cause),
        before_retry=_reload_launch,
    )
    return [unrecorded for batch in batches for unrecorded in batch]


def _reload_launch(launch: Launch) -> None:
    execution, _ = launch
    # Keep the time of our claim, which differs from that of a later claim by another worker.
    claimed_at = execution.started_at
    execution.refresh_from_db()
    execution.started_at = claimed_at


def _settle_unknown(launch: Launch, error: Exception, *, cause: Cause) -> None:
    execution, remote = launch
    reason = f"StackStorm started it as execution {remote.id[:100]}. {reason_for(error)}"
    settle(execution, Outcome.unknown(reason), cause=cause)


def _record_batch(launched: Sequence[Launch], *, cause: Cause) -> list[UnrecordedLaunch]:
    poll_at = cause.at + poll_interval.next_interval(
        datetime.timedelta(0), is_streamed=poll_interval.is_streamed()
    )
    unrecorded: list[UnrecordedLaunch] = []
    with transaction.atomic(), TransitionBatch() as batch:
        known = owners(remote.id for _, remote in launched)
        for execution, remote in launched:
            # Two responses of one batch may also have the same id.
            owner = known.setdefault(remote.id, execution.pk)
            if owner != execution.pk:
                unrecorded.append((execution, remote, ExecutionIdTakenError(remote.id, owner)))
                continue
            try:
                _record_start(execution, remote, cause=cause, poll_at=poll_at, batch=batch)
            except IllegalTransitionError as error:
                logger.warning("The row changed before the response was recorded: %s", error)
                unrecorded.append((execution, remote, None))
        queue.enqueue(queue.TICK, at=poll_at)
    return unrecorded


def record(
    execution: ActionExecution,
    remote: Execution,
    *,
    cause: Cause,
    poll_at: datetime.datetime,
    reason: str = "",
) -> None:
    """Record that StackStorm has the execution, to be polled at ``poll_at``.

    Raises ExecutionIdTakenError if another row has that id.
    """
    with transaction.atomic():
        owner = owners([remote.id]).get(remote.id, execution.pk)
        if owner != execution.pk:
            raise ExecutionIdTakenError(remote.id, owner)
        _record_start(execution, remote, cause=cause, poll_at=poll_at, reason=reason)


def _record_start(
    execution: ActionExecution,
    remote: Execution,
    *,
    cause: Cause,
    poll_at: datetime.datetime,
    reason: str = "",
    batch: TransitionBatch | None = None,
) -> None:
    execution.mark_running(
        cause=cause,
        reason=reason,
        batch=batch,
        due_at=poll_at,
        st2_execution_id=remote.id,
        st2_liveaction_id=remote.liveaction_id or None,
        st2_action_execution_status=remote.status[:50],
        st2_web_url=remote.web_url,
        running_at=cause.at if remote.status == "running" else None,
    )
