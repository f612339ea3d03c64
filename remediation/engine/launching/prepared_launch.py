"""Prepare and claim executions: everything that a worker needs before it calls StackStorm."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from django.conf import settings

from remediation import clock
from remediation.engine.launching import action_refresh, parameters, preparation
from remediation.engine.launching.claim import claim, start_within
from remediation.engine.outcomes import settle
from remediation.engine.outcomes.outcome import Outcome
from remediation.engine.row_by_row import (
    isolate,
    postpone,
    reason_for,
    reload_status,
    run_batch,
)
from remediation.models import ActionExecution, Cause
from remediation.stackstorm import Execution, StackStormClient, unless_too_late
from remediation.templating import TemplateError


@dataclass(frozen=True, slots=True)
class PreparedLaunch:
    """A claimed execution with its rendered parameters, to be started before ``timer`` is over.

    ``claimed_at`` identifies this claim: a later claim by another worker has another time.
    """

    execution: ActionExecution
    rendered: parameters.Rendered
    timer: clock.Timer
    claimed_at: datetime.datetime | None

    def send(self, client: StackStormClient) -> Execution:
        """Call StackStorm. Runs in a thread and does not use the database.

        Raises TooLateToSend if this process was suspended until its lease was nearly over.
        """
        with unless_too_late(self.timer.is_over):
            return client.run_action(
                self.rendered.action_ref,
                self.rendered.sent,
                trace_tag=self.execution.trace_tag or "",
                notify_data={"trace_tag": self.execution.trace_tag}
                if settings.ST2_NOTIFY
                else None,
            )

    def reload(self) -> None:
        """Reload the execution but keep the time of our claim, not that of a later one."""
        self.execution.refresh_from_db()
        self.execution.started_at = self.claimed_at


def start_timer(*, is_local: bool) -> clock.Timer:
    """Return a timer of the time within which a claim made now must be started."""
    return clock.Timer(start_within(is_local=is_local).total_seconds())


def prepare_and_claim(
    executions: Sequence[ActionExecution], client: StackStormClient | None = None
) -> list[PreparedLaunch]:
    """Render and claim executions; return those to start.

    An execution that cannot be rendered is claimed and fails. A step that its rules exclude is
    skipped with the claim. Rendering comes first: the claim is short and stores the parameters.
    With ``client``, missing or outdated metadata of actions is fetched; raises StackStormError.
    """
    if not executions:
        return []
    preparation.load_related(executions)
    if client:
        executions = action_refresh.fetch_unknown(executions, client)
    with preparation.reserved(executions) as reservation:
        prepared = preparation.prepare(reservation, at=clock.now())
        if client:
            outdated = action_refresh.fetch_stale(reservation.executions, prepared, client)
            preparation.render_again(reservation, outdated, prepared)
        ready = {pk: one for pk, one in prepared.items() if isinstance(one, parameters.Rendered)}
        skipped = {
            pk: one.reason for pk, one in prepared.items() if isinstance(one, parameters.Skipped)
        }
        # Started after rendering, so that a worker suspended while it rendered has its full time.
        timers = {is_local: start_timer(is_local=is_local) for is_local in (True, False)}
        cause = Cause()
        claims = run_batch(
            reservation.executions,
            partial(
                claim,
                cause=cause,
                parameters={pk: one.masked for pk, one in ready.items()},
                skipped=skipped,
                unprepared={row.pk for row in reservation.executions} - prepared.keys(),
            ),
            description=f"The claim of {len(reservation.executions)} executions",
            on_failure=partial(_fail_unclaimed, cause=cause),
            before_retry=reload_status,
        )
    claimed = [execution for claimed_now in claims for execution in claimed_now]
    for execution in claimed:
        if isinstance(error := prepared[execution.pk], TemplateError):
            settle.settle(execution, Outcome.failure(str(error)), cause=cause)
    return [
        PreparedLaunch(
            execution,
            ready[execution.pk],
            timers[not execution.executed_via_stackstorm],
            execution.started_at,
        )
        for execution in claimed
        if execution.pk in ready
    ]


def prepare_and_claim_one(execution: ActionExecution) -> PreparedLaunch | None:
    """Render and claim one execution; None if it ended or another worker claimed it first."""
    launches = prepare_and_claim([execution])
    return launches[0] if launches else None


def _fail_unclaimed(execution: ActionExecution, error: Exception, *, cause: Cause) -> None:
    """Fail an execution whose claim cannot be stored with its parameters."""
    with isolate(execution, description="Claiming without the parameters", on_failure=postpone):
        if claim([execution], cause=cause, parameters={}):
            settle.settle(execution, Outcome.failure(reason_for(error)), cause=cause)
            return
    # Otherwise the reservation would not be released for a row that is still pending.
    reload_status(execution)
