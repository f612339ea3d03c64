"""Record a launch that StackStorm refused, and say what a person can do about it and where."""

from __future__ import annotations

import re
from contextlib import suppress

from remediation import queue
from remediation.engine.launching import action_knowledge
from remediation.engine.launching.parameters import Rendered
from remediation.engine.outcomes import settle
from remediation.engine.outcomes.outcome import Outcome
from remediation.engine.secrets import known_secrets
from remediation.models import ActionExecution, Cause
from remediation.redaction import mask_text
from remediation.stackstorm import StackStormClient, StackStormError, StackStormRejected

REQUIRED = re.compile(r"^'(?P<name>[^']+)' is a required property")
UNEXPECTED = re.compile(r"^Additional properties are not allowed \((?P<names>.*) (was|were) unex")
IMMUTABLE = re.compile(r"^Override of immutable parameter\(s\) \[(?P<names>.*)\] is unsupported")
SENT_WITHOUT_TIMEOUT = "StackStorm takes no timeout for this action: it is sent again without"
NOT_FOUND = re.compile(r'^Action "[^"]+" cannot be found')


def record(
    execution: ActionExecution,
    rendered: Rendered,
    error: StackStormRejected,
    *,
    client: StackStormClient,
    cause: Cause,
) -> None:
    """Fail what StackStorm refused; send it again if only the timeout that we added was refused.

    The refusal started nothing. StackStorm is asked for the action again soon.
    """
    action = execution.action
    # Once: a StackStorm whose schema keeps showing what it refuses would be called for ever.
    is_first = execution.error_message != SENT_WITHOUT_TIMEOUT
    if action and rendered.has_our_timeout and refuses_timeout(error) and is_first:
        action_knowledge.forget_timeout(action)
        execution.release(cause=cause, reason=SENT_WITHOUT_TIMEOUT, due_at=cause.at)
        queue.enqueue(queue.LAUNCH_DUE, at=cause.at)
        return
    action_knowledge.doubt(action)
    # StackStorm repeats the value that it refuses.
    reason = mask_text(str(explain(execution, error, client=client)), known_secrets())
    settle.settle(execution, Outcome.failure(reason), cause=cause)


def refuses_timeout(error: StackStormRejected) -> bool:
    """Return whether StackStorm takes no parameter `timeout` for this action."""
    found = UNEXPECTED.search(error.message) or IMMUTABLE.search(error.message)
    return found is not None and "'timeout'" in found["names"]


def explain(
    execution: ActionExecution, error: StackStormRejected, *, client: StackStormClient
) -> StackStormRejected:
    """Return the error with what to do about it and where. May ask StackStorm."""
    place = place_of_parameters(execution)
    if found := REQUIRED.search(error.message):
        error.remedy = f"Add {found['name']} to {place}."
    elif found := UNEXPECTED.search(error.message) or IMMUTABLE.search(error.message):
        names = found["names"].replace("'", "")
        error.remedy = f"Take {names} out of {place}."
    elif NOT_FOUND.search(error.message) and execution.action:
        # Without an answer the remedy stays that the client knows.
        with suppress(StackStormError):
            error.remedy = action_knowledge.missing(execution.action.st2_action_ref, client)
    return error


def place_of_parameters(execution: ActionExecution) -> str:
    """Return where the parameters of an execution are set, in the words of admin and API."""
    run = execution.run
    step = run.plan.step(execution.step_order)
    if execution.step_order == 0:
        return f"st2_workflow_params of the bucket {run.bucket.name}"
    if step["action"]["st2_parameters"]:
        return f"st2_parameters of the action {step['action']['name']}"
    return (
        f"the parameters of step {execution.step_order} ({execution.name}) of the bucket"
        f" {run.bucket.name}, as its action has no st2_parameters"
    )
