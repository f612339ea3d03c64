"""Cancel launches whose action has changed in StackStorm since its metadata was stored.

The response to a launch includes the action as StackStorm runs it. If its runner or command
differs from the stored metadata, the parameters may have been escaped the wrong way. Then the
execution is canceled and fails.
"""

from __future__ import annotations

from functools import partial

from remediation.engine.launching import action_metadata, late_results, parameters
from remediation.engine.outcomes import execution_ids, settle
from remediation.engine.outcomes.outcome import Outcome
from remediation.engine.transaction_retries import retry_on_conflict
from remediation.models import ActionExecution, Cause
from remediation.stackstorm import Execution, StackStormClient, StackStormError
from remediation.templating import TemplateError


def cancel_if_unsafe(
    execution: ActionExecution, remote: Execution, *, client: StackStormClient
) -> bool:
    """Store changed metadata; cancel and fail an execution that must not have been sent.

    Returns whether it was canceled. Calls StackStorm, so it must not run inside a transaction.
    """
    problem = _problem(execution, remote)
    # If another row has this id, it is not the execution that we launched: do not cancel it.
    if (
        problem is None
        or execution_ids.owners([remote.id]).get(remote.id, execution.pk) != execution.pk
    ):
        return False
    reason = f"{problem}. The action had changed in StackStorm before this was sent: "
    status = "canceling"
    try:
        response = client.cancel(remote.id)
        status = response.status or status
        reason += (
            "it was canceled at once, but it may have run"
            if response.is_accepted
            else f"it could not be canceled, its status was {status}"
        )
    except StackStormError as error:
        reason += f"cancel it in StackStorm, because canceling failed ({error})"
    values = {
        "st2_execution_id": remote.id,
        "st2_liveaction_id": remote.liveaction_id or None,
        "st2_action_execution_status": status[:50],
        "st2_web_url": remote.web_url,
    }
    outcome = Outcome(ActionExecution.Status.FAILURE, reason, values)
    is_settled = retry_on_conflict(
        partial(settle.settle, execution, outcome, cause=Cause()),
        description=f"The end of {execution}",
        before_retry=execution.refresh_from_db,
    )
    if not is_settled:
        late_results.record_launch(execution, remote, client=client)
    return True


def _problem(execution: ActionExecution, remote: Execution) -> TemplateError | None:
    """Return why the parameters must not be sent to the action that StackStorm shows."""
    action, shown = execution.action, remote.action
    if action is None or shown is None or shown.ref != action.st2_action_ref:
        return None
    if not action_metadata.store_if_changed(action, shown):
        return None
    try:
        parameters.render(execution)
    except TemplateError as error:
        return error
    return None
