"""Record the results of launch calls: started, rejected, or looked up if the outcome is unknown."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from concurrent.futures import Future
from functools import partial

from remediation.engine import outage
from remediation.engine.launching import (
    changed_actions,
    late_results,
    lookup,
    rejected_launches,
    started_executions,
)
from remediation.engine.launching.prepared_launch import PreparedLaunch
from remediation.engine.outcomes import settle
from remediation.engine.outcomes.outcome import Outcome
from remediation.engine.row_by_row import isolate, postpone
from remediation.engine.transaction_retries import retry_on_conflict
from remediation.models import ActionExecution, Cause, IllegalTransitionError
from remediation.stackstorm import (
    Execution,
    StackStormClient,
    StackStormRejected,
    StackStormUnavailable,
    TooLateToSend,
)

logger = logging.getLogger(__name__)

Response = tuple[PreparedLaunch, Future[Execution]]


class NotSent(Exception):
    """A launch was not sent because StackStorm refused an earlier one of the same batch."""


def record_all(responses: Sequence[Response], *, client: StackStormClient) -> bool:
    """Record the results of completed calls; return whether StackStorm was reachable.

    A database conflict or an invalid response affects one execution only.
    """
    started = [
        (prepared, future)
        for prepared, future in responses
        if future.exception() is None and not _is_canceled(prepared, future.result(), client=client)
    ]
    if started:
        launched = [(prepared.execution, future.result()) for prepared, future in started]
        _record_started(launched, client=client)
    is_reachable = True
    for prepared, future in responses:
        if future.exception() is not None:
            with isolate(
                prepared.execution, description="Recording a response", on_failure=postpone
            ):
                is_reachable &= _record_with_retry(prepared, future, client=client)
    return is_reachable


def record(
    prepared: PreparedLaunch, future: Future[Execution], *, client: StackStormClient
) -> bool:
    """Record the result of one call; return whether StackStorm was reachable."""
    execution, cause = prepared.execution, Cause()
    try:
        _record_started([(execution, future.result())], client=client)
    except TooLateToSend:
        late_results.release_unsent(execution)
    except NotSent:
        reason = "not sent: StackStorm refused an earlier launch of the batch"
        execution.release(cause=cause, reason=reason, due_at=cause.at)
    except StackStormRejected as error:
        rejected_launches.record(execution, prepared.rendered, error, client=client, cause=cause)
    except StackStormUnavailable as error:
        return _record_unavailable(execution, error, cause=cause)
    except (TypeError, ValueError) as error:
        # The client did not send it: the parameters cannot be encoded as JSON.
        settle.settle(execution, Outcome.failure(str(error)), cause=cause)
    except IllegalTransitionError as error:
        # It was not sent, and another worker has claimed it since.
        logger.info("The row changed before it was released: %s", error)
    return True


def _record_with_retry(
    prepared: PreparedLaunch, future: Future[Execution], *, client: StackStormClient
) -> bool:
    return retry_on_conflict(
        partial(record, prepared, future, client=client),
        description=f"Recording the response for {prepared.execution}",
        before_retry=prepared.reload,
    )


def _is_canceled(prepared: PreparedLaunch, remote: Execution, *, client: StackStormClient) -> bool:
    with isolate(prepared.execution, description="Checking the action", on_failure=postpone):
        return changed_actions.cancel_if_unsafe(prepared.execution, remote, client=client)
    return False


def _record_started(
    launched: Sequence[tuple[ActionExecution, Execution]], *, client: StackStormClient
) -> None:
    cause = Cause()
    for execution, remote, error in started_executions.record_all(launched, cause=cause):
        if error is None:
            late_results.record_launch(execution, remote, client=client)
        else:
            # The launch was accepted, but the response has the id of another execution.
            logger.warning("Look-up scheduled for execution %s: %s", execution, error)
            lookup.schedule(execution, at=cause.at, reason=str(error))


def _record_unavailable(
    execution: ActionExecution, error: StackStormUnavailable, *, cause: Cause
) -> bool:
    """Release an unsent launch, or look it up if it may have been sent.

    Returns whether StackStorm was reachable.
    """
    next_try = outage.report(error, at=cause.at) if error.stops_others else cause.at
    if error.may_have_been_sent:
        lookup.schedule(execution, at=cause.at, reason=str(error), by_gateway=error.by_gateway)
    else:
        reason = f"{str(error).rstrip('.')}. {outage.next_try_text(next_try)}"
        execution.release(cause=cause, reason=reason, due_at=next_try)
    return not error.stops_others
