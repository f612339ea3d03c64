"""Carry out local actions, which need no StackStorm."""

from __future__ import annotations

import datetime

from remediation import local_actions
from remediation.engine import late, settle
from remediation.engine.request import Request
from remediation.engine.settle import Outcome
from remediation.local_actions import LocalActionError, LocalActionFailed, LocalActionTimeout
from remediation.models import ActionExecution, Cause

Status = ActionExecution.Status


def carry_out(request: Request) -> None:
    """Run a claimed local action, or let its delay begin, and settle it."""
    execution, name = request.execution, request.rendered.action_type
    try:
        if execution.status == Status.LAUNCHING:
            delay = local_actions.delay_seconds(name, request.rendered.sent)
            if delay is not None:
                cause = Cause()
                until = cause.at + datetime.timedelta(seconds=delay)
                execution.mark_running(cause=cause, due_at=until, running_at=cause.at)
                return
        if request.timer.is_over():
            late.release_unsent(execution)
            return
        result = local_actions.run(name, request.rendered.sent)
        outcome = Outcome.success(result)
    except LocalActionFailed as error:
        outcome = Outcome.failure(str(error), error.result)
    except LocalActionTimeout as error:
        outcome = Outcome(Status.TIMEOUT, str(error))
    except LocalActionError as error:
        outcome = Outcome.failure(str(error))
    if not settle.settle(execution, outcome, cause=Cause()):
        late.record_outcome(execution, outcome)
