"""Record a launch that StackStorm rejected, with the remedy and where to apply it."""

from __future__ import annotations

import re
from contextlib import suppress

from remediation import queue
from remediation.engine.launching import action_metadata
from remediation.engine.launching.parameters import Rendered
from remediation.engine.outcomes import settle
from remediation.engine.outcomes.outcome import Outcome
from remediation.models import ActionExecution, Cause
from remediation.stackstorm import StackStormClient, StackStormError, StackStormRejected

REQUIRED = re.compile(r"^'(?P<name>[^']+)' is a required property")
UNEXPECTED = re.compile(r"^Additional properties are not allowed \((?P<names>.*) (was|were) unex")
IMMUTABLE = re.compile(r"^Override of immutable parameter\(s\) \[(?P<names>.*)\] is unsupported")
NO_TIMEOUT = "StackStorm takes no timeout for this action"
RESENT_WITHOUT_TIMEOUT = f"{NO_TIMEOUT}: resent without it"
NOT_FOUND = re.compile(r'^Action "[^"]+" cannot be found')


def record(
    execution: ActionExecution,
    rendered: Rendered,
    error: StackStormRejected,
    *,
    client: StackStormClient,
    cause: Cause,
) -> None:
    """Fail a rejected launch; resend it if only the timeout that we added was rejected.

    A rejected launch started nothing. The metadata of the action is fetched again soon.
    """
    action = execution.action
    # Only once: StackStorm's schema may keep listing a parameter that it rejects. A worker of
    # another release may have written a different end of the text.
    is_first = not execution.error_message.startswith(NO_TIMEOUT)
    if action and rendered.has_our_timeout and rejects_timeout(error) and is_first:
        action_metadata.drop_timeout(action)
        execution.release(cause=cause, reason=RESENT_WITHOUT_TIMEOUT, due_at=cause.at)
        queue.enqueue(queue.LAUNCH_DUE, at=cause.at)
        return
    action_metadata.mark_stale(action)
    # StackStorm's message includes the rejected value, which may be a secret.
    reason = str(explain(execution, error, client=client))
    settle.settle(execution, Outcome.failure(reason, secrets=rendered.secrets), cause=cause)


def rejects_timeout(error: StackStormRejected) -> bool:
    """Return whether StackStorm rejected the parameter `timeout`."""
    found = UNEXPECTED.search(error.message) or IMMUTABLE.search(error.message)
    return found is not None and "'timeout'" in found["names"]


def explain(
    execution: ActionExecution, error: StackStormRejected, *, client: StackStormClient
) -> StackStormRejected:
    """Add a remedy to the error that names the place to change. May call StackStorm."""
    place = place_of_parameters(execution)
    if found := REQUIRED.search(error.message):
        error.hint = f"Add {found['name']} to {place}."
    elif found := UNEXPECTED.search(error.message) or IMMUTABLE.search(error.message):
        names = found["names"].replace("'", "")
        error.hint = f"Remove {names} from {place}."
    elif NOT_FOUND.search(error.message) and execution.action:
        # Without a response the client's own remedy stays.
        with suppress(StackStormError):
            ref = execution.action.st2_action_ref
            error.hint = action_metadata.missing_message(ref, client)
    return error


def place_of_parameters(execution: ActionExecution) -> str:
    """Return where an operator sets the parameters of an execution."""
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
