"""End what was sent to an action that is not what it was known as.

The answer to a launch shows the action as StackStorm runs it. When its runner or its command is
another than the one that decided about escaping, the execution is canceled and has failed.
"""

from __future__ import annotations

from functools import partial

from remediation.engine.launching import action_knowledge, late_results, parameters
from remediation.engine.outcomes import execution_ids, settle
from remediation.engine.outcomes.outcome import Outcome
from remediation.engine.retries import retry_on_conflict
from remediation.models import ActionExecution, Cause
from remediation.stackstorm import Execution, StackStormClient, StackStormError
from remediation.templating import TemplateError


def cancel_if_unsafe(
    execution: ActionExecution, remote: Execution, *, client: StackStormClient
) -> bool:
    """Believe what StackStorm shows of the action; cancel and fail what must not have been sent.

    Returns whether it had to. Calls StackStorm, so it is for no transaction.
    """
    problem = _problem(execution, remote)
    # An id that another row has is not the execution that was launched: not to be canceled.
    if (
        problem is None
        or execution_ids.owners([remote.id]).get(remote.id, execution.pk) != execution.pk
    ):
        return False
    reason = f"{problem}. StackStorm had another action than was known when this was sent: "
    status = "canceling"
    try:
        answer = client.cancel(remote.id)
        status = answer.status or status
        reason += (
            "it was canceled at once, and may have run all the same"
            if answer.is_accepted
            else f"it could not be canceled any more, it was {status}"
        )
    except StackStormError as error:
        reason += f"cancel it there, for that failed ({error})"
    values = {
        "st2_execution_id": remote.id,
        "st2_liveaction_id": remote.liveaction_id or None,
        "st2_action_execution_status": status[:50],
        "st2_web_url": remote.web_url,
    }
    outcome = Outcome(ActionExecution.Status.FAILURE, reason, values)
    is_ours = retry_on_conflict(
        partial(settle.settle, execution, outcome, cause=Cause()),
        description=f"The end of {execution}",
        before_retry=execution.refresh_from_db,
    )
    if not is_ours:
        late_results.record_launch(execution, remote, client=client)
    return True


def _problem(execution: ActionExecution, remote: Execution) -> TemplateError | None:
    """Return what forbids to send the execution to the action that StackStorm shows."""
    action, shown = execution.action, remote.action
    if action is None or shown is None or shown.ref != action.st2_action_ref:
        return None
    if not action_knowledge.correct(action, shown):
        return None
    try:
        parameters.render(execution)
    except TemplateError as error:
        return error
    return None
