"""Execute local actions, which do not use StackStorm."""

from __future__ import annotations

import datetime
import logging

from django.db.models import F

from remediation import clock, local_actions
from remediation.engine.launching import late_results, parameters, preparation
from remediation.engine.launching.claim import lease
from remediation.engine.launching.prepared_launch import PreparedLaunch, start_timer
from remediation.engine.outcomes import settle
from remediation.engine.outcomes.outcome import Outcome
from remediation.local_actions import LocalActionError, LocalActionFailed, LocalActionTimeout
from remediation.models import ActionExecution, Cause
from remediation.templating import RendererUnavailable, TemplateError

logger = logging.getLogger(__name__)

Status = ActionExecution.Status


def execute(prepared: PreparedLaunch) -> None:
    """Run a claimed local action and settle it. A delayed one is only marked as running."""
    execution, name = prepared.execution, prepared.rendered.action_type
    secrets = prepared.rendered.secrets
    try:
        if execution.status == Status.LAUNCHING:
            delay = local_actions.delay_seconds(name, prepared.rendered.sent)
            if delay is not None:
                cause = Cause()
                until = cause.at + datetime.timedelta(seconds=delay)
                execution.mark_running(cause=cause, due_at=until, running_at=cause.at)
                return
        if prepared.timer.is_over():
            late_results.release_unsent(execution)
            return
        rendered = prepared.rendered
        is_display = local_actions.get(name).is_display
        result = local_actions.run(name, rendered.masked if is_display else rendered.sent)
        outcome = Outcome.success(result, secrets=secrets)
    except LocalActionFailed as error:
        outcome = Outcome.failure(str(error), error.result, secrets=secrets)
    except LocalActionTimeout as error:
        outcome = Outcome(Status.TIMEOUT, str(error))
    except LocalActionError as error:
        outcome = Outcome.failure(str(error), secrets=secrets)
    if not settle.settle(execution, outcome, cause=Cause()):
        late_results.record_outcome(execution, outcome)


def resume(execution: ActionExecution) -> PreparedLaunch | None:
    """Take a local action whose delay is over; None if another worker has taken it."""
    timer = start_timer(is_local=True)
    is_taken = ActionExecution.objects.filter(
        pk=execution.pk, status=Status.RUNNING, due_at=execution.due_at
    ).update(
        due_at=clock.now() + lease(is_local=True),
        prepare_attempts=F("prepare_attempts") + 1,
    )
    if not is_taken:
        return None
    try:
        if execution.prepare_attempts >= preparation.ATTEMPTS_MAX:
            raise preparation.too_many_attempts(execution)
        return PreparedLaunch(execution, parameters.render(execution), timer, execution.started_at)
    except RendererUnavailable as error:
        logger.warning("Execution %s will be rendered when its lease is over: %s", execution, error)
        return None
    except TemplateError as error:
        # A config value may have been deleted during the delay.
        settle.settle(execution, Outcome.failure(str(error)), cause=Cause())
        return None
